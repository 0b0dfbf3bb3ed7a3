<?php

// The SMS provider, played by a script: POST {"to", "text"} with a token and an idempotency key. What it "sends" is a file in $SHOP_DIR/sms.
//
// SHOP_SMS_REFUSE: the first request with this key is answered with 503.
// SHOP_SMS_HOLD: the first request with this key is answered only after the file `sms-held` (which says who asked) was removed.

$folder = getenv('SHOP_DIR') . '/sms';

function answer(int $status, array $body): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    exit(json_encode($body));
}

/** Whether this is the first time: creating a file succeeds once. */
function first(string $path, string $content): bool
{
    $file = @fopen($path, 'x');
    return $file !== false && fwrite($file, $content) !== false && fclose($file);
}

if (($_SERVER['HTTP_AUTHORIZATION'] ?? '') !== 'Bearer ' . getenv('SHOP_SMS_TOKEN')) {
    answer(401, ['error' => 'wrong token']);
}
$sms = json_decode(file_get_contents('php://input'), true);
$key = $_SERVER['HTTP_IDEMPOTENCY_KEY'] ?? '';
if (!isset($sms['to'], $sms['text']) || preg_match('/^[a-zA-Z0-9-]{1,64}$/', $key) !== 1) {
    answer(400, ['error' => 'to, text and an idempotency key are needed']);
}
file_put_contents("$folder/requests.log", "$key\n", FILE_APPEND | LOCK_EX);
if ($key === getenv('SHOP_SMS_REFUSE') && first("$folder/refused", $key)) {
    answer(503, ['error' => 'busy']);
}
$new = first("$folder/$key.json", json_encode(['to' => $sms['to'], 'text' => $sms['text']]));
if ($key === getenv('SHOP_SMS_HOLD') && first("$folder/held-once", $key)) {
    $held = getenv('SHOP_DIR') . '/sms/held';
    file_put_contents("$held.new", $_SERVER['HTTP_USER_AGENT'] ?? '');
    rename("$held.new", $held);
    for ($end = microtime(true) + 30; file_exists($held) && microtime(true) < $end; clearstatcache()) {
        usleep(5000);
    }
}
answer($new ? 201 : 200, ['id' => $key]);
