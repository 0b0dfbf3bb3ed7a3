--TEST--
The stubs and the loaded extension have the same classes, methods, parameters, defaults and types
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

/** The stubs, loaded in a namespace beside the extension's own classes. */
function load_stubs(): void
{
    // What a class implements must be there before it.
    $first = project('php/stubs/QueueInterface.php');
    foreach (array_unique([$first, ...glob(project('php/stubs/*.php')), ...glob(project('php/stubs/{Task,RedisTask}/*.php'), GLOB_BRACE)]) as $file) {
        $code = preg_replace('/^namespace Ferry((?:\\\\(?:Redis)?Task)?);$/m', 'namespace FerryStub$1;', file_get_contents($file), -1, $count);
        check("$file has one namespace, Ferry or Ferry\\Task", $count === 1);
        $php = $code;
        eval('?>' . $php);
    }
}

/** A class as text lines; the names of the stubs' namespace read as the extension's. */
function outline(ReflectionClass $class): array
{
    $plain = fn (string $text) => str_replace('FerryStub\\', 'Ferry\\', $text);
    $kind = $class->isInterface() ? 'interface' : ($class->isFinal() ? 'final class' : ($class->isAbstract() ? 'abstract class' : 'class'));
    $interfaces = array_map($plain, $class->getInterfaceNames());
    sort($interfaces);
    $lines = [
        'head' => "$kind extends " . $plain($class->getParentClass() ? $class->getParentClass()->name : '-') . ' implements ' . implode(', ', $interfaces),
        'constants' => json_encode($class->getConstants()),
    ];
    foreach ($class->getProperties() as $property) {
        $lines['$' . $property->name] = (string) $property->getType();
    }
    foreach ($class->getMethods() as $method) {
        if (in_array($method->class, [$class->name], true)) {
            $lines[$method->name . '()'] = $plain(signature($method));
        }
    }
    ksort($lines);
    return $lines;
}

function signature(ReflectionMethod $method): string
{
    $parameters = array_map(function (ReflectionParameter $parameter) {
        $default = $parameter->isDefaultValueAvailable() ? ' = ' . var_export($parameter->getDefaultValue(), true) : '';
        $variadic = $parameter->isVariadic() ? '...' : '';
        $reference = $parameter->isPassedByReference() ? '&' : '';
        return "{$parameter->getType()} $reference$variadic\${$parameter->name}$default" . ($parameter->isOptional() ? ' optional' : '');
    }, $method->getParameters());
    $modifiers = implode(' ', Reflection::getModifierNames($method->getModifiers()));
    return "$modifiers (" . implode(', ', $parameters) . "): {$method->getReturnType()}";
}

load_stubs();
$loaded = array_keys((new ReflectionExtension('ferry'))->getClasses());
$classes = array_filter([...get_declared_classes(), ...get_declared_interfaces()], fn ($name) => str_starts_with($name, 'FerryStub\\'));
$stubbed = array_map(fn ($name) => substr($name, strlen('FerryStub\\')), array_values($classes));
sort($loaded);
$expected = array_map(fn ($name) => "Ferry\\$name", $stubbed);
sort($expected);
same('the classes', implode("\n", $loaded), implode("\n", $expected));

foreach ($loaded as $name) {
    $short = substr($name, strlen('Ferry\\'));
    $real = outline(new ReflectionClass($name));
    $stub = outline(new ReflectionClass("FerryStub\\$short"));
    foreach (array_keys($real + $stub) as $line) {
        same("$name $line", $real[$line] ?? 'missing in the extension', $stub[$line] ?? 'missing in the stub');
    }
}
/** @return array<string, mixed> */
function constants_of(string $class, string $prefix): array
{
    $all = (new ReflectionClass($class))->getConstants();
    return array_filter($all, fn ($name) => str_starts_with($name, $prefix), ARRAY_FILTER_USE_KEY);
}

preg_match('/const NAMES: .*?= \[(.*?)\];/s', file_get_contents(project('src/handler/listeners.rs')), $list);
preg_match_all('/"(\w+)"/', $list[1], $events);
same('every event has a constant', $events[1], array_values(constants_of(Ferry\Worker::class, 'EVENT_')));
preg_match_all('/: u8 = (\d+);/', file_get_contents(project('crates/worker/src/exit.rs')), $codes);
$exits = array_values(constants_of(Ferry\Worker::class, 'EXIT_'));
sort($exits);
sort($codes[1]);
same('every exit code has a constant', array_map('intval', $codes[1]), $exits);
preg_match_all('/State::\w+ => "(\w+)"/', file_get_contents(project('crates/core/src/status/state.rs')), $states);
same('every state has a constant', $states[1], array_values(constants_of(Ferry\Status::class, '')));
check('a connection is a queue', new Ferry\Connection('memory:') instanceof Ferry\QueueInterface);

preg_match_all('/^        - (stubs\/.+)$/m', file_get_contents(project('php/extension.neon')), $listed);
$files = array_map(fn ($file) => substr($file, strlen(project('php/'))), [...glob(project('php/stubs/*.php')), ...glob(project('php/stubs/{Task,RedisTask}/*.php'), GLOB_BRACE)]);
sort($files);
sort($listed[1]);
same('PHPStan reads every stub', $files, $listed[1]);

check('methods were compared', $GLOBALS['checks'] > 80, $GLOBALS['checks']);
done();
?>
--EXPECT--
ok
