<?php

// Sends orders to the web endpoint, a few at a time, and asks for an empty page after each, which tells how busy the machine is. Prints
// what came of it as JSON: {"statuses": {"202": 300, "204": 300}, "orders": [milliseconds, ...], "empty": [...]}.
//
//     php load.php SITE ORDERS AT-ONCE

require __DIR__ . '/../src/autoload.php';

use Shop\Stage\Orders;

function request(string $url, array $options): CurlHandle
{
    $curl = curl_init($url);
    curl_setopt_array($curl, $options + [CURLOPT_RETURNTRANSFER => true, CURLOPT_FORBID_REUSE => true, CURLOPT_TIMEOUT => 60]);
    return $curl;
}

function order(string $site, array $order): CurlHandle
{
    return request("$site/orders", [CURLOPT_POSTFIELDS => json_encode($order), CURLOPT_HTTPHEADER => ['Content-Type: application/json']]);
}

[, $site, $count, $at_once] = $argv;
$waiting = [];
foreach (Orders::many('A', (int) $count) as $order) {
    array_push($waiting, ['orders', order($site, $order->toArray())], ['empty', request("$site/empty", [])]);
}
$multi = curl_multi_init();
$kinds = new WeakMap();
$statuses = $times = [];
$running = 0;
while ($waiting !== [] || $running > 0) {
    for (; $waiting !== [] && $running < (int) $at_once; $running++) {
        [$kind, $curl] = array_shift($waiting);
        $kinds[$curl] = $kind;
        curl_multi_add_handle($multi, $curl);
    }
    curl_multi_exec($multi, $busy);
    while (($done = curl_multi_info_read($multi)) !== false) {
        $status = curl_getinfo($done['handle'], CURLINFO_RESPONSE_CODE);
        $statuses[$status] = ($statuses[$status] ?? 0) + 1;
        $times[$kinds[$done['handle']]][] = curl_getinfo($done['handle'], CURLINFO_TOTAL_TIME_T) / 1000;
        curl_multi_remove_handle($multi, $done['handle']);
        $running--;
    }
    $running > 0 && curl_multi_select($multi, 1);
}
echo json_encode(['statuses' => $statuses] + $times), "\n";
