--TEST--
The phpinfo section tells version, drivers and TLS, and says only whether ferry.url is set
--INI--
ferry.url=redis://user:hunter2@127.0.0.1:1/0
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

ob_start();
phpinfo(INFO_MODULES);
$section = preg_replace('/^.*?\nferry\n(.*?)\n\n\n.*$/s', '$1', str_replace("\r", '', ob_get_clean()) . "\n\n\n");
$section = substr($section, (int) strpos($section, 'Ferry =>'));
foreach (['Ferry => enabled', 'Version => ' . phpversion('ferry'), 'Drivers => redis, sqlite, mysql, postgres, amqp, sync, memory', 'TLS => rustls', 'Wire families => think3, think3-legacy, think1', 'ferry.url => set (not shown)', 'ferry.think_names => 1'] as $line) {
    holds('phpinfo', $line, $section);
}
check('no secret', !str_contains($section, 'hunter2'), $section);
check('the version is one', preg_match('/^\d+\.\d+\.\d+$/', phpversion('ferry')) === 1, phpversion('ferry'));
done();
?>
--EXPECT--
ok
