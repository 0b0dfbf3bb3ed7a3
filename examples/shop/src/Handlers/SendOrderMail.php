<?php

namespace Shop\Handlers;

use Ferry\Task\TaskHandlerInterface;
use Ferry\Task\TaskMessage;
use Ferry\Task\TaskResult;
use PHPMailer\PHPMailer\PHPMailer;
use Shop\Catalogue;
use Shop\Order;
use Shop\Settings;

/** Confirms an order by e-mail. */
final class SendOrderMail implements TaskHandlerInterface
{
    public const TYPE = 'order.mail';

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

    /** What PHPMailer throws is for the consumer: the task is tried again later. */
    public function handle(TaskMessage $task): TaskResult
    {
        $order = Order::fromArray($task->payload);
        $mail = $this->mailer();
        $mail->addAddress($order->email, $order->name);
        $mail->Subject = self::subject($order);
        $mail->Body = self::body($order);
        // The same order has the same id, so that a mail which a crash sends twice can be told.
        $mail->MessageID = "<order-{$order->number}@shop.example>";
        $mail->send();
        return TaskResult::success(['to' => $order->email]);
    }

    public static function subject(Order $order): string
    {
        return "Your order {$order->number}, " . Order::money($order->total());
    }

    public static function body(Order $order): string
    {
        $text = "Dear {$order->name},\n\nthank you for your order {$order->number}:\n\n";
        foreach ($order->lines as $article => $quantity) {
            $text .= sprintf("%3d x %-12s %12s\n", $quantity, Catalogue::name($article), Order::money(Catalogue::price($article) * $quantity));
        }
        return $text . "\nTotal: " . Order::money($order->total()) . "\n";
    }

    private function mailer(): PHPMailer
    {
        $mail = new PHPMailer(true);
        $mail->isSMTP();
        $mail->Host = $this->settings->smtp_host;
        $mail->Port = $this->settings->smtp_port;
        $mail->SMTPAutoTLS = false;
        $mail->Helo = 'worker-' . getmypid() . '.shop.example';
        $mail->Hostname = 'shop.example';
        $mail->CharSet = PHPMailer::CHARSET_UTF8;
        $mail->Encoding = PHPMailer::ENCODING_BASE64;
        $mail->setFrom('orders@shop.example', 'The shop');
        return $mail;
    }
}
