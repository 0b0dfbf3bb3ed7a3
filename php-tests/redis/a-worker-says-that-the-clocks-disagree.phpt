--TEST--
A worker whose clock and whose server's clock disagree says so in its log, once
--FILE--
<?php
require __DIR__ . '/../support/child.php';

// A Redis that has no jobs, and whose clock is an hour ahead.
$server = <<<'PHP'
$listener = stream_socket_server('tcp://127.0.0.1:0');
echo substr(strrchr(stream_socket_get_name($listener, false), ':'), 1), "\n";
$links = [];
while (true) {
    $ready = [$listener, ...$links];
    $none = null;
    stream_select($ready, $none, $none, null);
    foreach ($ready as $stream) {
        if ($stream === $listener) {
            $links[] = stream_socket_accept($listener);
            continue;
        }
        $words = [];
        $count = (int) substr((string) fgets($stream), 1);
        if ($count === 0) {
            $links = array_filter($links, fn ($link) => $link !== $stream);
            continue;
        }
        while ($count-- > 0) {
            $words[] = stream_get_contents($stream, (int) substr(fgets($stream), 1));
            fgets($stream);
        }
        fwrite($stream, match ($words[0]) {
            'PING' => "+PONG\r\n",
            'HGETALL' => "*0\r\n",
            'EVALSHA', 'EVAL' => '*2' . "\r\n:" . (time() + 3600) . "\r\n:0\r\n",
            'BLMOVE' => "-ERR unknown command 'BLMOVE'\r\n",
            default => ":0\r\n",
        });
    }
}
PHP;
$server = Child::php($server);
$server->says("\n");
$port = (int) $server->out();

$worker = Child::php('exit((new Ferry\Worker(["log_level" => "warning", "max_time" => 1]))->run());', [], ['FERRY_URL' => "redis://127.0.0.1:$port"]);
same('it works all the same', 0, $worker->wait());
$said = $worker->out() . $worker->err();
same('said once', 1, preg_match_all("/the clock of Redis at 127.0.0.1:$port is 3(600|599)\.\d s ahead of the clock of this machine/", $said), $said);
done();
?>
--EXPECT--
ok
