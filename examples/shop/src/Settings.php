<?php

namespace Shop;

use Ferry\Connection;
use Ferry\Queue;

/** Where things are. All of it comes from the environment, so that web, workers and tools say it once. */
final class Settings
{
    private function __construct(
        /** Holds photos, pictures, the report and the databases. */
        public readonly string $folder,
        public readonly string $smtp_host,
        public readonly int $smtp_port,
        public readonly string $sms_url,
        public readonly string $sms_token,
    ) {
    }

    public static function fromEnvironment(): self
    {
        [$host, $port] = explode(':', self::variable('SHOP_SMTP'));
        return new self(self::variable('SHOP_DIR'), $host, (int) $port, self::variable('SHOP_SMS_URL'), self::variable('SHOP_SMS_TOKEN'));
    }

    /** The broker is the one of `FERRY_URL`. */
    public static function broker(): Connection
    {
        return Queue::connection();
    }

    public function path(string $name): string
    {
        return "{$this->folder}/$name";
    }

    private static function variable(string $name): string
    {
        $value = getenv($name);
        if ($value === false || $value === '') {
            throw new \RuntimeException("$name is not set; examples/shop/run shows what the shop needs");
        }
        return $value;
    }
}
