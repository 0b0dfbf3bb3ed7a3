--TEST--
php --re does not show the secret of ferry.url
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

$re = shell_exec(getenv('FERRY_PHP') . ' ' . getenv('FERRY_PHP_FLAGS') . ' -d ferry.url=redis://:hunter2@127.0.0.1:1/0 --re ferry');
check('no secret', !str_contains($re, 'hunter2'), substr($re, strpos($re, 'ferry.url'), 80));
done();
?>
--XFAIL--
The engine prints the raw value of every setting here, as it does for mysqli.default_pw; a displayer is not asked
--EXPECT--
ok
