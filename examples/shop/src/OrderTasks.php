<?php

namespace Shop;

use Ferry\Task\TaskMessage;

/** What has to be done for an order. The priority chooses the queue: the customer is told first, pictures and figures can wait. */
final class OrderTasks
{
    /** Tasks are tried this often: a crash or an API that is down for a moment costs one or two. */
    private const TRIES = 6;

    /** @return list<TaskMessage> */
    public static function of(Order $order): array
    {
        return [
            self::task(Handlers\SendOrderMail::TYPE, $order, 8),
            self::task(Handlers\SendSms::TYPE, $order, 9),
            self::sync($order),
            self::task(Handlers\MakePicture::TYPE, $order, 3),
            self::task(Handlers\RefreshReport::TYPE, $order, 2),
        ];
    }

    public static function sync(Order $order): TaskMessage
    {
        return self::task(Handlers\SyncWarehouse::TYPE, $order, 6);
    }

    private static function task(string $type, Order $order, int $priority): TaskMessage
    {
        return new TaskMessage($type, $order->toArray(), priority: $priority, maxRetries: self::TRIES);
    }
}
