--TEST--
bench measures in a queue of its own, asks first, leaves nothing behind, and shows what a slower network costs
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console('redis-server', 'pdo_sqlite', 'pcntl', 'posix'); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$quick = ['bench', '--rounds=1', '--jobs=200', '--seconds=5'];
foreach (shared_brokers() as $name => $config) {
    $ferry = Ferry::on($config);
    $connection = use_broker($config);
    $chart = temp_dir() . "/$name.svg";

    $json = $ferry->run([...$quick, '--force', '--json', "--svg=$chart"])->well("$name: as JSON")->json();
    same("$name: the version", phpversion('ferry'), $json['machine']['ferry']);
    $median = $json['results'][0]['median'];
    same("$name: what is measured", ['push', 'bulk', 'drain', 'fire_median', 'fire_p95'], array_keys($median));
    check("$name: every number is above 0", min($median) > 0, json_encode($median));
    check("$name: half of the times are at most the 95th percentile", $median['fire_median'] <= $median['fire_p95'], json_encode($median));
    same("$name: nothing is left", 0, $connection->size($json['queue']));
    $svg = (string) file_get_contents($chart);
    check("$name: a picture", preg_match('/^<svg .*<\\/svg>\n$/s', $svg) === 1, $svg);
    same("$name: a bar for each number, on a ground", 6, substr_count($svg, '<rect '));
    holds("$name: what was measured", 'Ferry ' . phpversion('ferry') . ', PHP ' . PHP_VERSION, $svg);

    $ferry->run([...$quick, '-n'])->refused("$name: nobody can be asked", 1, 'use --force');
    $ferry->run($quick, "n\n")->refused("$name: no", 1, 'nothing was done');
    $connection->push('Somebodys', '', 'work');
    $ferry->run([...$quick, '--force', '--queue=work'])->refused("$name: a queue in use", 2, 'holds 1 job');
    same("$name: its job is still there", 1, $connection->size('work'));
    $table = $ferry->run([...$quick, '--force', '--queue=empty'])->well("$name: as a table")->out;
    check("$name: a row of numbers", preg_match('/^none +[\d,]+ +[\d,]+ +[\d,]+ +[\d.]+ +[\d.]+ *$/m', $table) === 1, $table);

    if ($config['type'] === 'redis') {
        // 20 ms a round trip: at most 50 pushes a second, and without it far more on any machine.
        $results = $ferry->run([...$quick, '--force', '--json', '--jobs=20', '--network-delay=0,20'])->well('with delays')->json()['results'];
        same('the delays', ['0 ms', '20 ms'], array_column($results, 'network_delay'));
        check('a round trip takes longer', $results[1]['median']['push'] <= 50 && $results[1]['median']['push'] < $results[0]['median']['push'], json_encode($results));
    } else {
        $ferry->run([...$quick, '--force', '--network-delay=1'])->refused("$name: no network", 2, 'must be reached over TCP');
    }
}
$ferry->run(['bench', '--network-delay=soon'])->refused('no such delay', 2, '--network-delay needs milliseconds');
$ferry->run(['bench', '--rounds=0', '--force'])->refused('no rounds', 2, '--rounds needs');
done();
?>
--EXPECT--
ok
