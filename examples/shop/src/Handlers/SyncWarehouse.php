<?php

namespace Shop\Handlers;

use Ferry\Task\TaskHandlerInterface;
use Ferry\Task\TaskMessage;
use Ferry\Task\TaskResult;
use Shop\Order;
use Shop\Settings;
use Shop\Warehouse;

/** Copies an order into the warehouse. Doing it again changes nothing. */
final class SyncWarehouse implements TaskHandlerInterface
{
    public const TYPE = 'order.sync';
    private ?Warehouse $warehouse = null;

    public function __construct(private Settings $settings)
    {
    }

    public function supports(string $taskType): bool
    {
        return $taskType === self::TYPE;
    }

    public function getSupportedTypes(): array
    {
        return [self::TYPE];
    }

    public function handle(TaskMessage $task): TaskResult
    {
        $this->warehouse ??= Warehouse::open($this->settings);
        $this->warehouse->store(Order::fromArray($task->payload));
        return TaskResult::success();
    }
}
