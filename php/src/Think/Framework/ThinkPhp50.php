<?php

declare(strict_types=1);

namespace Ferry\Think\Framework;

use think\App;
use think\Cache;
use think\Config;
use think\Hook;

/** ThinkPHP 5.0, whose services are static classes. */
final class ThinkPhp50 extends ThinkPhp51
{
    public function config(string $name): array
    {
        return (array) Config::get($name);
    }

    public function namespace(): string
    {
        return (string) App::$namespace;
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

    protected function handlerOfExceptions(): string
    {
        return (string) Config::get('exception_handle');
    }
}
