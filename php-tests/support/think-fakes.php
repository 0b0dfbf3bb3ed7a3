<?php
// The little of ThinkPHP 8 and think-queue v3 that the adapters stand on, written from what is recorded of their behaviour
// (fixtures/think-queue-v3.json). With FERRY_THINK_AUTOLOAD the real ones take their place: an autoloader of an application.

namespace think {

    class Container
    {
        protected static ?self $instance = null;
        protected array $bind = [];
        private array $instances = [];

        public static function getInstance(): static
        {
            return static::$instance ??= new static();
        }

        public function bind(string $name, mixed $concrete): void
        {
            $this->bind[$name] = $concrete;
        }

        public function bound(string $name): bool
        {
            return isset($this->bind[$name]) || isset($this->instances[$name]);
        }

        public function has(string $name): bool
        {
            return $this->bound($name);
        }

        public function instance(string $name, object $object): void
        {
            $this->instances[$name] = $object;
        }

        public function make(string $name, array $vars = [], bool $new = false)
        {
            $concrete = $this->bind[$name] ?? null;
            if (is_string($concrete)) {
                return $this->make($concrete, $vars, $new);
            }
            if (!$new && isset($this->instances[$name])) {
                return $this->instances[$name];
            }
            $object = $concrete instanceof \Closure ? $concrete() : $this->invokeClass($name, $vars);
            return $new ? $object : $this->instances[$name] = $object;
        }

        /** @return array<mixed> objects by type, the rest from `$vars` in order */
        private function arguments(?\ReflectionFunctionAbstract $function, array $vars): array
        {
            $arguments = [];
            foreach ($function?->getParameters() ?? [] as $parameter) {
                $type = $parameter->getType();
                $isObject = $type instanceof \ReflectionNamedType && !$type->isBuiltin();
                $takes = $vars !== [] && (!$isObject || is_a(reset($vars), $type->getName()));
                $arguments[] = $takes ? array_shift($vars) : ($isObject ? $this->make($type->getName()) : $parameter->getDefaultValue());
            }
            return $arguments;
        }

        public function invokeClass(string $class, array $vars = [])
        {
            $class = new \ReflectionClass($class);
            if ($class->hasMethod('__make')) {
                $make = $class->getMethod('__make');
                return $make->invokeArgs(null, $this->arguments($make, $vars));
            }
            return $class->newInstanceArgs($this->arguments($class->getConstructor(), $vars));
        }

        public function invokeFunction(\Closure $function)
        {
            return $function();
        }

        public function invoke(array $callable)
        {
            return $callable(...$this->arguments(new \ReflectionMethod(...$callable), []));
        }
    }

    class App extends Container
    {
        private array $services = [];

        public function __construct(string $root = '')
        {
            self::$instance = $this;
            $this->instance(self::class, $this);
            foreach (['config' => Config::class, 'cache' => Cache::class, 'event' => Event::class, 'queue' => Queue::class] as $name => $class) {
                $this->bind($name, $class);
            }
        }

        public function __get(string $name)
        {
            return $this->make($name);
        }

        public function getNamespace(): string
        {
            return 'app';
        }

        public function register(string $service): void
        {
            $this->services[] = $service = new $service($this);
            $service->register();
        }

        public function initialize(): static
        {
            foreach ($this->services as $service) {
                $service->boot();
            }
            return $this;
        }
    }

    class Config
    {
        private array $all = [];

        public function set(array $config, string $name): void
        {
            $this->all[$name] = $config + ($this->all[$name] ?? []);
        }

        public function get(string $name, mixed $default = null): mixed
        {
            $value = $this->all;
            foreach (explode('.', $name) as $step) {
                if (!isset($value[$step])) {
                    return $default;
                }
                $value = $value[$step];
            }
            return $value;
        }
    }

    class Cache
    {
        private array $all = [];

        public function get(string $key, mixed $default = null): mixed
        {
            return $this->all[$key] ?? $default;
        }

        public function set(string $key, mixed $value): bool
        {
            $this->all[$key] = $value;
            return true;
        }
    }

    class Event
    {
        private array $listeners = [];

        public function listen(string $event, callable $listener): void
        {
            $this->listeners[$event][] = $listener;
        }

        public function trigger(object $event): void
        {
            foreach ($this->listeners[$event::class] ?? [] as $listener) {
                $listener($event);
            }
        }
    }

    abstract class Service
    {
        public function __construct(protected App $app)
        {
        }

        protected function commands(array $commands): void
        {
            foreach ($commands as $command) {
                is_object($command) && $this->app->instance('command:' . $command->getName(), $command);
            }
        }
    }

    class Queue
    {
        private array $made = [];

        public function __construct(private App $app)
        {
        }

        public function connection(?string $name = null): queue\Connector
        {
            $name ??= $this->app->config->get('queue.default');
            return $this->made[$name] ??= $this->create($name);
        }

        private function create(string $name): queue\Connector
        {
            $config = $this->app->config->get("queue.connections.$name");
            $type = $config['type'] ?? 'sync';
            $class = str_contains($type, '\\') ? $type : 'think\queue\connector\\' . ucfirst($type);
            if (!class_exists($class)) {
                throw new \InvalidArgumentException("Driver [$type] not supported.");
            }
            return $this->app->invokeClass($class, [$config])->setApp($this->app)->setConnection($name);
        }
    }
}

namespace think\console {

    class Input
    {
    }

    class Output
    {
    }

    class Command
    {
        private string $name;

        public function __construct()
        {
            $this->configure();
        }

        protected function setName(string $name): void
        {
            $this->name = $name;
        }

        protected function setDescription(string $text): void
        {
        }

        public function getName(): string
        {
            return $this->name;
        }

        protected function ignoreValidationErrors(): void
        {
        }
    }
}

namespace think\exception {

    class Handle
    {
        /** @var list<\Throwable> */
        public array $reported = [];

        public function report(\Throwable $e): void
        {
            $this->reported[] = $e;
        }
    }
}

namespace think\queue {

    use think\App;

    class Service extends \think\Service
    {
        public function register(): void
        {
            $type = $this->app->config->get('queue.failed.type', 'none');
            $class = str_contains($type, '\\') ? $type : 'think\queue\failed\\' . ucfirst($type);
            $this->app->bind('queue.failer', fn () => $this->app->invokeClass($class));
        }

        public function boot(): void
        {
        }
    }

    abstract class Connector
    {
        protected $app;
        protected $connection;
        protected $options = [];

        abstract public function size($queue = null);

        abstract public function push($job, $data = '', $queue = null);

        abstract public function pushRaw($payload, $queue = null, array $options = []);

        abstract public function later($delay, $job, $data = '', $queue = null);

        abstract public function pop($queue = null);

        public function bulk($jobs, $data = '', $queue = null)
        {
        }

        public function setApp(App $app)
        {
            $this->app = $app;
            return $this;
        }

        public function setConnection($name)
        {
            $this->connection = $name;
            return $this;
        }

        public function getConnection()
        {
            return $this->connection;
        }
    }

    abstract class Job
    {
        protected $app;
        protected $queue;
        protected $connection;
        private $instance;

        abstract public function getJobId();

        abstract public function attempts();

        abstract public function getRawBody();

        public function payload($name = null, $default = null)
        {
            $payload = json_decode($this->getRawBody(), true);
            return $name === null ? $payload : $payload[$name] ?? $default;
        }

        public function fire()
        {
            [, $method] = $this->getParsedJob();
            $this->getResolvedJob()->{$method}($this, $this->payload('data'));
        }

        public function failed($e)
        {
            $instance = $this->getResolvedJob();
            method_exists($instance, 'failed') && $instance->failed($this->payload('data'), $e);
        }

        protected function getParsedJob()
        {
            return explode('@', $this->payload('job')) + [1 => 'fire'];
        }

        protected function resolve($name, $param)
        {
            $class = str_contains($name, '\\') ? $name : $this->app->getNamespace() . '\\job\\' . str_replace('_', '', ucwords($name, '_'));
            return $this->app->make($class, [$param], true);
        }

        public function getResolvedJob()
        {
            return $this->instance ??= $this->resolve($this->getParsedJob()[0], $this->payload('data'));
        }

        public function delete()
        {
        }

        public function isDeleted()
        {
        }

        public function release($delay = 0)
        {
        }

        public function isReleased()
        {
        }

        public function isDeletedOrReleased()
        {
            return $this->isDeleted() || $this->isReleased();
        }

        public function hasFailed()
        {
        }

        public function markAsFailed()
        {
        }

        public function getName()
        {
            return $this->payload('job');
        }

        public function getConnection()
        {
            return $this->connection;
        }

        public function getQueue()
        {
            return $this->queue;
        }
    }

    class CallQueuedHandler
    {
        public function __construct(protected App $app)
        {
        }

        public function call(Job $job, array $data)
        {
            $this->app->invoke([unserialize($data['command']), 'handle']);
            $job->isDeletedOrReleased() || $job->delete();
        }
    }

    /** The loop itself is not here: tests of it are for connections of Ferry, or for the real package. */
    class Worker
    {
        public function __construct(protected \think\Queue $queue, protected \think\Event $event, protected \think\exception\Handle $handle)
        {
        }

        public function daemon($connection, $queue, $delay = 0, $sleep = 3, $maxTries = 0, $memory = 128, $timeout = 60)
        {
            echo "think-queue's own loop\n";
        }

        public function runNextJob($connection, $queue, $delay = 0, $sleep = 3, $maxTries = 0)
        {
            echo "think-queue's own loop, once\n";
        }
    }

    abstract class FailedJob
    {
        abstract public function log($connection, $queue, $payload, $exception);

        abstract public function all();

        abstract public function find($id);

        abstract public function forget($id);

        abstract public function flush();
    }
}

namespace think\queue\connector {

    /** Keeps what is pushed, for the connections that are not Ferry's. */
    class Redis extends \think\queue\Connector
    {
        public array $pushed = [];

        public static function __make(?array $config): self
        {
            return new self();
        }

        public function size($queue = null)
        {
            return count($this->pushed);
        }

        public function push($job, $data = '', $queue = null)
        {
            $this->pushed[] = $job;
            return 'pushed by think-queue';
        }

        public function pushRaw($payload, $queue = null, array $options = [])
        {
        }

        public function later($delay, $job, $data = '', $queue = null)
        {
        }

        public function pop($queue = null)
        {
        }
    }

    class Sync extends Redis
    {
    }
}

namespace think\queue\failed {

    class None extends \think\queue\FailedJob
    {
        public function log($connection, $queue, $payload, $exception)
        {
        }

        public function all()
        {
            return [];
        }

        public function find($id)
        {
        }

        public function forget($id)
        {
            return true;
        }

        public function flush()
        {
        }
    }
}

namespace think\queue\event {

    class JobProcessing
    {
        public function __construct(public $connection, public $job)
        {
        }
    }

    class JobProcessed
    {
        public function __construct(public $connection, public $job)
        {
        }
    }

    class JobFailed
    {
        public function __construct(public $connection, public $job, public $exception)
        {
        }
    }

    class JobExceptionOccurred
    {
        public $connectionName;

        public function __construct($connection, public $job, public $exception)
        {
            $this->connectionName = $connection;
        }
    }

    class WorkerStopping
    {
        public function __construct(public $status = 0)
        {
        }
    }
}
