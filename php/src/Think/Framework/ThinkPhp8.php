<?php

declare(strict_types=1);

namespace Ferry\Think\Framework;

use Ferry\Think\Framework;
use think\App;
use think\Container;
use think\exception\Handle;

/** ThinkPHP 6 and 8. */
final class ThinkPhp8 extends Framework
{
    public static function app(): App
    {
        $app = Container::getInstance()->make(App::class);
        assert($app instanceof App);
        return $app;
    }

    public function config(string $name): array
    {
        return (array) self::app()->make('config')->get($name, []);
    }

    public function namespace(): string
    {
        return self::app()->getNamespace();
    }

    public function handler(string $class, mixed $data): ?object
    {
        $app = self::app();
        return class_exists($class) || $app->bound($class) ? $app->make($class, [$data], true) : null;
    }

    public function report(\Throwable $exception): void
    {
        self::app()->make(Handle::class)->report($exception);
    }

    public function cached(string $key): mixed
    {
        return self::app()->make('cache')->get($key);
    }

    public function cache(string $key, mixed $value): void
    {
        self::app()->make('cache')->set($key, $value);
    }
}
