--TEST--
Every exception of Ferry is a Ferry\Exception and extends the SPL class that callers expect
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

$tree = [
    'InvalidArgumentException' => \InvalidArgumentException::class,
    'ConfigException' => Ferry\InvalidArgumentException::class,
    'BrokerException' => \RuntimeException::class,
    'ConnectionException' => Ferry\BrokerException::class,
    'UncertainException' => Ferry\BrokerException::class,
    'LostReservation' => \RuntimeException::class,
    'PoisonException' => \RuntimeException::class,
    'HandlerNotFoundException' => \RuntimeException::class,
    'MaxAttemptsExceededException' => \RuntimeException::class,
    'BusyException' => \RuntimeException::class,
];
foreach ($tree as $name => $parent) {
    $class = "Ferry\\$name";
    same($class, $parent, get_parent_class($class));
    $cause = new LogicException('cause');
    $made = new $class('text', 7, $cause);
    check("$class is a Ferry\\Exception", $made instanceof Ferry\Exception && $made instanceof Throwable);
    same("$class keeps its parts", ['text', 7, $cause, __FILE__], [$made->getMessage(), $made->getCode(), $made->getPrevious(), $made->getFile()]);
    check("$class can be extended", (eval("return new class('x') extends $class {};"))->getMessage() === 'x');
}
same('an interface', true, (new ReflectionClass(Ferry\Exception::class))->isInterface());

// One that the extension throws knows where it was thrown, as any other.
function thrower()
{
    Ferry\Queue::configure(5);
}
try {
    thrower();
} catch (Ferry\Exception $e) {
    same('the place', [__FILE__, 'thrower', 'configure'], [$e->getFile(), $e->getTrace()[1]['function'], $e->getTrace()[0]['function']]);
}
done();
?>
--EXPECT--
ok
