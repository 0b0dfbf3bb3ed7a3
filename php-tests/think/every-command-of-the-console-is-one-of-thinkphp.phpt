--TEST--
Every command of the console is a command of ThinkPHP, and the commands start their workers by their names there
--SKIPIF--
<?php require __DIR__ . '/../console/skip.php'; needs_console(); ?>
--FILE--
<?php

require __DIR__ . '/../support/boot.php';
require __DIR__ . '/../support/think-fakes.php';
require project('php/autoload.php');
require '/usr/share/php/Symfony/Component/Console/autoload.php';

use Ferry\Console\Application;
use Ferry\Console\Launch;
use Ferry\Think\Command;

$launch = new Launch(['php'], '/app/think', '/app', [], 'ferry:');
$names = array_diff(array_keys((new Application($launch))->all()), ['help', 'list', 'completion', '_complete']);
$ours = array_map(fn (Command $command) => $command->getName(), Command::all());
sort($names);
sort($ours);
same('commands', ['ferry', ...array_map(fn ($name) => "ferry:$name", $names)], $ours);
same('a worker of a master', ['php', '/app/think', 'ferry:work', '--queue=a'], $launch->command(['work', '--queue=a']));
done();
--EXPECT--
ok
