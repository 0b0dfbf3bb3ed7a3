--TEST--
php --re and --ri describe the extension, and --ri holds no secret
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

$php = getenv('FERRY_PHP') . ' ' . getenv('FERRY_PHP_FLAGS') . ' -d ferry.url=redis://:hunter2@127.0.0.1:1/0';
$re = shell_exec("$php --re ferry");
foreach (['Extension [ <persistent> extension', 'class Ferry\Queue', 'static public method push', 'Parameter #1 [ <optional> mixed $data = \'\' ]', 'Entry [ ferry.url <SYSTEM> ]'] as $piece) {
    holds('--re', $piece, $re);
}
$ri = shell_exec("$php --ri ferry");
holds('--ri', 'ferry.url => set (not shown)', $ri);
check('no secret in --ri', !str_contains($ri, 'hunter2'));
done();
?>
--EXPECT--
ok
