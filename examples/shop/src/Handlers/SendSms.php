<?php

namespace Shop\Handlers;

use Ferry\Task\TaskHandlerInterface;
use Ferry\Task\TaskMessage;
use Ferry\Task\TaskResult;
use RuntimeException;
use Shop\Order;
use Shop\Settings;

/** Tells the customer by SMS, over an HTTP API that knows idempotency keys: a repeated request sends nothing twice. */
final class SendSms implements TaskHandlerInterface
{
    public const TYPE = 'order.sms';
    private const SECONDS = 30;

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
        $order = Order::fromArray($task->payload);
        [$status, $answer] = $this->post(['to' => $order->phone, 'text' => self::text($order)], "order-{$order->number}");
        if ($status !== 200 && $status !== 201) {
            return TaskResult::failure("the SMS API answered $status: $answer");
        }
        return TaskResult::success(json_decode($answer, true, 8, JSON_THROW_ON_ERROR));
    }

    public static function text(Order $order): string
    {
        return "Order {$order->number} is on its way. Total " . Order::money($order->total());
    }

    /** @return array{int, string} status and body */
    private function post(array $sms, string $key): array
    {
        $curl = curl_init($this->settings->sms_url);
        curl_setopt_array($curl, [
            CURLOPT_POSTFIELDS => json_encode($sms, JSON_THROW_ON_ERROR),
            CURLOPT_HTTPHEADER => [
                'Content-Type: application/json',
                "Authorization: Bearer {$this->settings->sms_token}",
                "Idempotency-Key: $key",
            ],
            CURLOPT_USERAGENT => 'shop-worker/' . getmypid(),
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => self::SECONDS,
        ]);
        $body = curl_exec($curl);
        if ($body === false) {
            throw new RuntimeException('the SMS API does not answer: ' . curl_error($curl));
        }
        return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $body];
    }
}
