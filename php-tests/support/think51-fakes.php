<?php
// ThinkPHP 5.1 and think-queue v2 as far as they differ from 5.0 and v1: facades, a container, a console that is called.

namespace think {

    require __DIR__ . '/think5-fakes.php';

    class Container
    {
        /** Takes the configuration and the commands of an application in this folder. */
        public static function load(string $folder): void
        {
            Config::$all['queue'] = require $folder . 'config/queue.php';
            [Console::$work] = require $folder . 'application/command.php';
            spl_autoload_register(function (string $class) use ($folder) {
                $file = $folder . 'application/' . strtr(substr($class, strlen('app\\')), '\\', '/') . '.php';
                str_starts_with($class, 'app\\') && is_file($file) && require $file;
            });
        }
    }

    class Console
    {
        /** The class behind `queue:work`. */
        public static string $work;

        public static function call(string $command, array $parameters = []): console\Output
        {
            $options = [];
            foreach ($parameters as $parameter) {
                [$name, $value] = explode('=', substr($parameter, 2)) + [1 => true];
                $options[$name] = $value;
            }
            (new self::$work())->execute(new console\Input($options), $output = new console\Output());
            return $output;
        }
    }
}

namespace think\facade {

    class Config extends \think\Config
    {
        public static function pull(string $name): mixed
        {
            return parent::get($name);
        }
    }

    class Cache extends \think\Cache
    {
    }

    class Hook extends \think\Hook
    {
    }

    class Env
    {
        public static function get(string $name): mixed
        {
            return $name === 'app_namespace' ? \think\App::$namespace : null;
        }
    }
}
