<?php

// A worker of bench/chaos. Its tries are unlimited, so only jobs with a single try of their own are buried.

declare(strict_types=1);

namespace Bench;

require dirname(__DIR__) . '/lib/chaos/effect.php';

Effect::$book = fopen(getenv('CHAOS_BOOK'), 'a');
Effect::$longest = (int) getenv('CHAOS_LONGEST');

$worker = new \Ferry\Worker(['log' => 'none']);
foreach (['lost', 'settle_lost'] as $event) {
    $worker->on($event, function () use ($event) {
        echo "$event\n";
    });
}
exit($worker->run());
