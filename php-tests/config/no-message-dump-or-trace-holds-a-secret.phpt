--TEST--
No message, dump or stack trace holds a secret of the configuration
--INI--
zend.exception_ignore_args=0
zend.exception_string_param_max_len=1000
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

use Ferry\Connection;
use Ferry\Queue;

const SECRET = 'hunter2';

/** Everything one can print of a failed call. The call is a plain name: a closure in the trace would show what it holds itself. */
function printed(string $call, mixed ...$arguments): string
{
    try {
        $call(...$arguments);
        return 'nothing thrown';
    } catch (Throwable $e) {
        ob_start();
        echo $e, $e->getMessage(), $e->getTraceAsString();
        var_dump($e->getTrace());
        print_r($e);
        return ob_get_clean();
    }
}

function make_a_connection(): void
{
    new Connection($GLOBALS['config']);
}

function configure_and_push(): void
{
    $config = $GLOBALS['config'];
    Queue::configure(is_array($config) ? ['connections' => ['x' => $config]] : $config);
    Queue::push('Job1');
}

function ask(string $method, mixed ...$arguments): void
{
    $GLOBALS['unreachable']->$method(...$arguments);
}

$secret = SECRET;
$bad = [
    "redis://:$secret@127.0.0.1:1/0?colour=red",
    "redis://:$secret@127.0.0.1:notaport/0",
    "redis://user:$secret@",
    "redis:/:$secret@h",
    "redes://:$secret@h",
    "rediss://:$secret@h?tls[ca_file]=/nope&tls[colour]=1",
    "redis://:{$secret}%zz@h",
    "redis://:$secret#x@h",
    "redis://:a/$secret@h",
    "redis://:a?$secret=@h",
    "redis://:a?password=$secret&password=$secret@h",
    "mysql://u:$secret@h/db",
    "amqp://u:$secret@h",
    " redis://:$secret@h",
    "$secret",
    ['type' => 'redis', 'password' => $secret, 'prot' => 1],
    ['type' => 'redis', 'password' => $secret, 'port' => 'x'],
    ['type' => 'redis', 'password' => [$secret]],
    ['type' => 'redis', 'host' => "redis://:$secret@h"],
    ['type' => 'redis', 'host' => "u:$secret@h"],
    ['type' => 'redis', 'passwort' => $secret],
    ['type' => 'redis', 'url' => "redis://:$secret@h:port"],
    ['type' => "redis://:$secret@h"],
    ['type' => 'mysql', 'password' => $secret],
    ['type' => 'amqp', 'password' => $secret, 'port' => -1],
    ['url' => "redis://:$secret@h", 'tls' => ['verify' => "$secret"]],
];
foreach ($bad as $config) {
    foreach (['make_a_connection', 'configure_and_push'] as $call) {
        $text = printed($call);
        // A few are odd but usable, and fail at the first push; what counts here is what is shown.
        $refused = ($refused ?? 0) + (int) ($text !== 'nothing thrown');
        check('no secret for ' . json_encode($config), !str_contains($text, SECRET), $text);
    }
}

check('nearly all are refused', $refused >= 48, $refused);

// A key that is not read is named, its value is not.
Queue::configure(['connections' => ['x' => ['type' => 'redis', 'password' => $secret, 'colour' => $secret]]]);
holds('what is not read', '`colour`', implode(Queue::notices()));
check('no secret in a notice', !str_contains(implode(Queue::notices()), SECRET));

// A refused or failed connection.
$unreachable = new Connection("redis://user:$secret@127.0.0.1:1/0?timeout=1");
foreach (['push' => ['Job1'], 'size' => [], 'pop' => [], 'clear' => []] as $method => $arguments) {
    $text = printed('ask', $method, ...$arguments);
    holds("$method is not reached", 'Ferry\ConnectionException', $text);
    check("$method: no secret", !str_contains($text, SECRET), $text);
}
ob_start();
var_dump($unreachable);
print_r($unreachable);
check('no secret in a dump', !str_contains(ob_get_clean(), SECRET));
done();
?>
--EXPECT--
ok
