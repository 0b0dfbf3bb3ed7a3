--TEST--
ferry.url, ferry.think_names and ferry.spool cannot be changed by a script, and there are no other settings, functions or constants
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

$extension = new ReflectionExtension('ferry');
same('settings', ['ferry.spool' => '', 'ferry.think_names' => '1', 'ferry.url' => ''], (function ($all) { ksort($all); return $all; })($extension->getINIEntries()));
foreach (['ferry.url', 'ferry.think_names', 'ferry.spool'] as $name) {
    same("ini_set($name)", false, @ini_set($name, '0'));
    same("$name is for the system only", 4, ini_get_all('ferry')[$name]['access']);
}
same('functions', [], $extension->getFunctions());
same('constants', [], $extension->getConstants());
same('dependencies', [], $extension->getDependencies());
done();
?>
--EXPECT--
ok
