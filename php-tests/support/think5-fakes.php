<?php
// The little of ThinkPHP 5.0 and think-queue v1 that the adapter stands on (fixtures/think-queue-v1.json).

namespace think {

    class App
    {
        public static string $namespace = 'app';
    }

    /** Statics by name, as Config, Cache and Hook of 5.0 are. */
    class Config
    {
        public static array $all = [];

        public static function get(string $name): mixed
        {
            return self::$all[$name] ?? null;
        }
    }

    class Cache
    {
        public static array $all = [];

        public static function get(string $key): mixed
        {
            return self::$all[$key] ?? false;
        }

        public static function set(string $key, mixed $value): void
        {
            self::$all[$key] = $value;
        }
    }

    class Hook
    {
        public static array $heard = [];

        public static function listen(string $tag, mixed &$parameter = null): void
        {
            self::$heard[] = $tag . ' ' . (is_object($parameter) ? get_class($parameter) : json_encode($parameter));
        }
    }

    class Queue
    {
        public static function __callStatic(string $method, array $arguments): mixed
        {
            static $connector;
            $class = Config::get('queue')['connector'];
            $connector ??= new $class(Config::get('queue'));
            return $connector->$method(...$arguments);
        }
    }
}

namespace think\console {

    class Input
    {
        public function __construct(private array $options)
        {
        }

        public function getOption(string $name): mixed
        {
            return $this->options[$name] ?? ['delay' => 0, 'memory' => 128, 'sleep' => 3, 'tries' => 0][$name] ?? null;
        }
    }

    class Output
    {
        public array $lines = [];

        public function writeln(string $line): void
        {
            $this->lines[] = $line;
        }

        public function fetch(): string
        {
            return implode('', array_map(fn ($line) => "$line\n", $this->lines));
        }
    }
}

namespace think\exception {

    class Handle
    {
        public static array $reported = [];

        public function report(\Exception $e): void
        {
            self::$reported[] = $e->getMessage();
        }
    }

    class ThrowableError extends \ErrorException
    {
        public function __construct(\Throwable $e)
        {
            parent::__construct('wrapped ' . $e->getMessage());
        }
    }
}

namespace think\queue {

    abstract class Connector
    {
        protected $options = [];

        abstract public function push($job, $data = '', $queue = null);

        abstract public function later($delay, $job, $data = '', $queue = null);

        abstract public function pop($queue = null);
    }

    abstract class Job
    {
        protected $instance;
        protected $queue;
        protected $deleted = false;
        protected $released = false;

        abstract public function fire();

        abstract public function attempts();

        abstract public function getRawBody();

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

        protected function resolveAndFire(array $payload)
        {
            [$class, $method] = explode('@', $payload['job']) + [1 => 'fire'];
            $this->instance = $this->resolve($class);
            $this->instance->{$method}($this, $payload['data']);
        }

        protected function resolve($name)
        {
            $name = str_contains($name, '\\') ? $name : \think\App::$namespace . '\\job\\' . $name;
            return new $name();
        }

        public function failed()
        {
        }

        public function getName()
        {
        }

        public function getQueue()
        {
            return $this->queue;
        }
    }
}

namespace think\queue\command {

    use think\console\Input;
    use think\console\Output;

    class Work
    {
        public function execute(Input $input, Output $output)
        {
            $output->writeln("think-queue's own command");
        }
    }
}

namespace think\queue\connector {

    class Redis extends \think\queue\Connector
    {
        public function __construct(array $options)
        {
        }

        public function push($job, $data = '', $queue = null)
        {
            return 'pushed by think-queue';
        }

        public function later($delay, $job, $data = '', $queue = null)
        {
            return null;
        }

        public function pop($queue = null)
        {
            return null;
        }
    }
}
