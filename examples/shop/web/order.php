<?php

// POST an order as JSON: 202 once RabbitMQ has confirmed everything that has to be done for it. Nothing of that is done here.

require __DIR__ . '/../src/autoload.php';

use Ferry\Task\TaskProducer;
use Shop\Order;
use Shop\OrderTasks;
use Shop\Settings;

function answer(int $status, array $body): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    exit(json_encode($body) . "\n");
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    answer(405, ['error' => 'POST an order']);
}
try {
    $order = Order::fromArray((array) json_decode(file_get_contents('php://input'), true, 8, JSON_THROW_ON_ERROR));
} catch (InvalidArgumentException | JsonException $e) {
    answer(422, ['error' => $e->getMessage()]);
}
try {
    (new TaskProducer(Settings::broker()))->publishBatch(OrderTasks::of($order));
} catch (Ferry\Exception $e) {
    // The customer may send it again: all of it may be done twice, or is done once by its key.
    error_log($e->getMessage());
    answer(503, ['error' => 'please try again']);
}
answer(202, ['order' => $order->number]);
