--TEST--
The stubs are valid PHP, every class and method is documented, and every case they cite is recorded
--FILE--
<?php
require __DIR__ . '/../support/boot.php';

$recorded = array_column(fixture('think-queue-v3.json')['cases'], 'name');
$files = [...glob(project('php/stubs/*.php')), ...glob(project('php/stubs/{Task,RedisTask}/*.php'), GLOB_BRACE)];
check('all files are there', count($files) >= 7);
foreach ($files as $file) {
    exec(escapeshellarg(getenv('FERRY_PHP')) . ' -n -l ' . escapeshellarg($file) . ' 2>&1', $said, $code);
    same("php -l $file", 0, $code);
    $text = file_get_contents($file);
    preg_match_all('/`((?:redis|sqlite|sync|worker|command|mariadb)\/[^`]+)`/', $text, $cited);
    foreach ($cited[1] as $case) {
        check("$file cites $case", in_array($case, $recorded, true));
    }
    $tokens = array_values(array_filter(token_get_all($text), fn ($token) => !is_array($token) || $token[0] !== T_WHITESPACE));
    foreach ($tokens as $at => $token) {
        if (!is_array($token) || !in_array($token[0], [T_FUNCTION, T_CLASS, T_INTERFACE], true)) {
            continue;
        }
        $before = $at - 1;
        while (is_array($tokens[$before]) && in_array($tokens[$before][0], [T_PUBLIC, T_STATIC, T_FINAL, T_ABSTRACT], true)) {
            $before--;
        }
        check("$file: {$tokens[$at + 1][1]} is documented", is_array($tokens[$before]) && $tokens[$before][0] === T_DOC_COMMENT);
    }
}
done();
?>
--EXPECT--
ok
