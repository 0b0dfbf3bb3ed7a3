<?php

namespace Shop\Handlers;

use Ferry\Task\TaskHandlerInterface;
use Ferry\Task\TaskMessage;
use Ferry\Task\TaskResult;
use Shop\Order;
use Shop\Report;
use Shop\Settings;
use Shop\Warehouse;

/** Brings the sales report up to date with an order. */
final class RefreshReport implements TaskHandlerInterface
{
    public const TYPE = 'report.refresh';
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

    /** The tasks of an order run in any order: while it is not in the warehouse the report cannot hold it, so this one comes back later. */
    public function handle(TaskMessage $task): TaskResult
    {
        $this->warehouse ??= Warehouse::open($this->settings);
        $order = Order::fromArray($task->payload);
        if (!$this->warehouse->has($order->number)) {
            return TaskResult::failure("order {$order->number} is not in the warehouse yet");
        }
        $written = (new Report($this->settings->path('report')))->refresh($this->warehouse);
        return TaskResult::success(['written' => $written]);
    }
}
