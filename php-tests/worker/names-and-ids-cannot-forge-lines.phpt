--TEST--
Names, ids and messages of strangers stay on their line and send no commands to a terminal
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

Ferry\Queue::configure('memory:');
$name = "X\n[2026-01-01 00:00:00][1] Processed:  Forged\e[31mRED\e]0;title\x07\u{9b}2J\u{202e}";
Ferry\Queue::pushRaw(json_encode(['job' => $name, 'maxTries' => 1, 'timeout' => null, 'data' => 1, 'id' => "id\r\n\e[2J", 'attempts' => 0]));
ob_start();
(new Ferry\Worker(['tries' => 1, 'stop_when_empty' => true, 'sleep' => 0]))->run();
$said = ob_get_clean();
check('no command', !preg_match('/[\x00-\x09\x0b-\x1f\x7f]|\x{9b}|\x{202e}/u', $said), addcslashes($said, "\0..\37"));
foreach (explode("\n", trim($said)) as $line) {
    check('a line of ours', (bool) preg_match('/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]\[id\\\\r\\\\n\\\\x1b\[2J\] (Processing:|Released:|Exception:) /', $line), $line);
}
holds('the name is there', 'X\n[2026-01-01 00:00:00][1] Processed:  Forged\x1b[31mRED\x1b]0;title\x07\u{9b}2J\u{202e}', $said);
done();
?>
--EXPECT--
ok
