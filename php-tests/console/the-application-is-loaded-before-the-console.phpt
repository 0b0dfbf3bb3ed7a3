--TEST--
--bootstrap is loaded first and its symfony/console wins; then the application's autoloader; what is missing is said in one line
--SKIPIF--
<?php require __DIR__ . '/skip.php'; needs_console(); ?>
--FILE--
<?php
require __DIR__ . '/console.php';

$ferry = new Ferry(['FERRY_URL' => 'memory:']);
same('version', 'ferry ' . phpversion('ferry') . "\n", $ferry->run(['--version'])->well('version')->out);
$list = $ferry->run(['list', '--raw'])->well('list')->out;
foreach (['work', 'listen', 'failed', 'retry', 'forget', 'flush', 'prune', 'pause', 'resume', 'restart', 'stop', 'size', 'peek', 'clear', 'monitor', 'schema', 'doctor'] as $command) {
    check("$command is listed", preg_match("/^$command /m", $list) === 1, $list);
}
foreach (['work', 'retry', 'doctor'] as $command) {
    $help = $ferry->run([$command, '--help'])->well("$command --help")->out;
    holds("$command --help has examples", "ferry $command", $help);
    holds("$command --help has exit codes", 'Exit codes', $help);
}

// The application's own copy of the console wins over Debian's.
$own = bootstrap(<<<'PHP'
    spl_autoload_register(function ($class) {
        if ($class === 'Symfony\Component\Console\Application') {
            fwrite(STDERR, "the application's own console\n");
            require_once '/usr/share/php/Symfony/Component/Console/autoload.php';
        }
    });
    PHP);
same('bootstrap wins', "the application's own console\n", $ferry->run(['--version', "--bootstrap=$own"])->err);
same('said with a blank', "the application's own console\n", $ferry->run(['--version', '--bootstrap', $own])->err);

// Composer's vendor folder of the working directory, without any --bootstrap.
mkdir(temp_dir() . '/vendor/composer', recursive: true);
touch(temp_dir() . '/vendor/composer/autoload_real.php');
file_put_contents(temp_dir() . '/vendor/autoload.php', '<?php fwrite(STDERR, "the application\'s autoloader\n");');
same('vendor/autoload.php', "the application's autoloader\n", $ferry->run(['--version'])->err);
at_the_end(function () {
    foreach (['/vendor/composer/autoload_real.php', '/vendor/autoload.php'] as $file) {
        unlink(temp_dir() . $file);
    }
    rmdir(temp_dir() . '/vendor/composer');
    rmdir(temp_dir() . '/vendor');
});
file_put_contents(temp_dir() . '/vendor/autoload.php', '<?php');

// What a bootstrap file configures counts; --config wins over it; both may be relative.
$boot = bootstrap('Ferry\Queue::configure(["connections" => ["booted" => ["type" => "memory"], "other" => ["type" => "memory"]], "default" => "booted"]);');
holds('the bootstrap file configures', '`booted`', $ferry->run(['clear', '--force', '--bootstrap=' . basename($boot)])->well('configured')->out);
holds('-c chooses', '`other`', $ferry->run(['clear', '--force', "--bootstrap=$boot", '-c', 'other'])->well('chosen')->out);
file_put_contents(temp_dir() . '/queue.php', '<?php return ["default" => "filed", "connections" => ["filed" => ["type" => "memory"]]];');
holds('--config wins', '`filed`', $ferry->run(['clear', '--force', "--bootstrap=$boot", '--config=queue.php'])->well('config')->out);

// What is wrong.
$ferry->run(['size', '--bootstrap=nowhere.php'])->refused('no bootstrap file', 1, 'there is no file nowhere.php (--bootstrap)');
$ferry->run(['size', '--bootstrap=' . bootstrap('throw new Exception("no database");')])->refused('a bootstrap file that throws', 1, 'the bootstrap file failed: Exception: no database');
$ferry->run(['size', '--config=nowhere.php'])->refused('no config file', 2, 'there is no file nowhere.php (--config)');
$ferry->run(['size', '--config=' . bootstrap('return 7;')])->refused('a config file without an array', 2, 'does not return an array');
$ferry->run(['size', '-c', 'nobody'])->refused('no such connection', 2, 'nobody');
(new Ferry(['FERRY_URL' => 'redis://127.0.0.1:1']))->run(['size'])->refused('no broker', 1, 'Connection refused');
(new Ferry(['FERRY_URL' => 'redis://:secret@127.0.0.1:1?hots=1']))->run(['size'])->refused('a wrong DSN', 2, '`hots`');
$ferry->run(['nothing'])->refused('no such command', 2, 'Command "nothing" is not defined');
$ferry->run(['size', '--jsn'])->refused('no such option', 2, '"--jsn" option does not exist');
$ferry->run(['work', '--tries=many'])->refused('a wrong value', 2, 'tries');
$ferry->run(['work', 'one', '--connection=two'])->refused('two connections', 2, 'the connection is said twice');
$ferry->run(['work', '--processes=0'])->refused('no processes', 2, '--processes wants a number from 1 to 300');
$ferry->run(['work', '--processes=2', '--health-file=/tmp/x'])->refused('one file for two', 2, '{slot}');

$secret = bootstrap('return "redis://:topsecret@127.0.0.1:1?hots=1";');
$traced = $ferry->run(['size', '-v', "--config=$secret"])->refused('a wrong DSN with -v', 2, '`hots`');
holds('where it came from', 'Connections.php', $traced->err);
check('no secret', !str_contains($traced->err, 'topsec'), $traced->err);

// Without what it needs.
$bare = [getenv('FERRY_PHP'), '-n', project('php/bin/ferry'), 'size'];
$ferry->run_command($bare)->refused('without mbstring and intl', 1, 'symfony/console needs mbstring and intl');
$ferry->run_command([getenv('FERRY_PHP'), '-n', ...Ferry::needed(alone: true), project('php/bin/ferry'), 'size'])->refused('without the extension', 1, 'the extension ferry is not loaded');
done();
--EXPECT--
ok
