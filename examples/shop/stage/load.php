<?php

// Sends orders to the web endpoint, a few at a time, and prints what came of it as JSON: {"statuses": {"202": 300}, "ms": [...]}.
//
//     php load.php URL ORDERS AT-ONCE

require __DIR__ . '/../src/autoload.php';

use Shop\Stage\Orders;

function request(string $url, array $order): CurlHandle
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_POSTFIELDS => json_encode($order),
        CURLOPT_HTTPHEADER => ['Content-Type: application/json'],
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_FORBID_REUSE => true,
        CURLOPT_TIMEOUT => 60,
    ]);
    return $curl;
}

[, $url, $count, $at_once] = $argv;
$waiting = array_map(fn ($order) => $order->toArray(), Orders::many('A', (int) $count));
$multi = curl_multi_init();
$statuses = $times = [];
$running = 0;
while ($waiting !== [] || $running > 0) {
    for (; $waiting !== [] && $running < (int) $at_once; $running++) {
        curl_multi_add_handle($multi, request($url, array_shift($waiting)));
    }
    curl_multi_exec($multi, $busy);
    while (($done = curl_multi_info_read($multi)) !== false) {
        $status = curl_getinfo($done['handle'], CURLINFO_RESPONSE_CODE);
        $statuses[$status] = ($statuses[$status] ?? 0) + 1;
        $times[] = curl_getinfo($done['handle'], CURLINFO_TOTAL_TIME_T) / 1000;
        curl_multi_remove_handle($multi, $done['handle']);
        $running--;
    }
    $running > 0 && curl_multi_select($multi, 1);
}
echo json_encode(['statuses' => $statuses, 'ms' => $times]), "\n";
