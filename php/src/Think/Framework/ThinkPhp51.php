<?php

declare(strict_types=1);

namespace Ferry\Think\Framework;

use Ferry\Think\Framework;
use think\facade\Cache;
use think\facade\Config;
use think\facade\Env;
use think\facade\Hook;

/** ThinkPHP 5.1. */
class ThinkPhp51 extends Framework
{
    public function config(string $name): array
    {
        return (array) Config::pull($name);
    }

    public function namespace(): string
    {
        return (string) Env::get('app_namespace');
    }

    /** v1 and v2 make handlers without arguments. */
    public function handler(string $class, mixed $data): ?object
    {
        return class_exists($class) ? new $class() : null;
    }

    public function report(\Throwable $exception): void
    {
        $class = $this->handlerOfExceptions();
        $handle = is_subclass_of($class, \think\exception\Handle::class) ? new $class() : new \think\exception\Handle();
        // Its report() takes what is an Exception only.
        $handle->report($exception instanceof \Exception ? $exception : new \think\exception\ThrowableError($exception));
    }

    public function cached(string $key): mixed
    {
        return Cache::get($key);
    }

    public function cache(string $key, mixed $value): void
    {
        Cache::set($key, $value);
    }

    public function hook(string $name, mixed $parameter): void
    {
        Hook::listen($name, $parameter);
    }

    public function connectionNames(): array
    {
        return [\Ferry\Think\Settings::ONLY];
    }

    protected function handlerOfExceptions(): string
    {
        return (string) Config::get('exception_handle');
    }

    protected function family(): string
    {
        return 'think1';
    }
}
