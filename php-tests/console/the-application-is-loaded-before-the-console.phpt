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

// What is wrong: 2 for the command line, the configuration and the code, 1 for what may pass.
$ferry->run(['size', '--bootstrap=nowhere.php'])->refused('no bootstrap file', 2, 'there is no file nowhere.php (--bootstrap)');
$ferry->run(['size', '--bootstrap=' . bootstrap('throw new Exception("no database");')])->refused('a bootstrap file that throws', 1, 'the bootstrap file failed: Exception: no database');
$ferry->run(['size', '--bootstrap=' . bootstrap('no_such_function();')])->refused('a bootstrap file with a mistake', 2, 'the bootstrap file failed: Error: Call to undefined function no_such_function()');
$ferry->run(['size', '--bootstrap='])->refused('no name', 2, '--bootstrap needs a file name');
file_put_contents(temp_dir() . '/.rr.toml', "[jobs.pipelines.mail.config]\npassword = \"secret\"\n");
foreach (['--config', '--bootstrap'] as $option) {
    $size = $ferry->run(['size', "$option=.rr.toml"])->refused("a TOML as $option", 2, "is not a PHP file ($option); it looks like RoadRunner's configuration");
    check('nothing of it is printed', !str_contains($size->out . $size->err, 'secret'), $size->out . $size->err);
}
foreach (['return "boot.php";' => 'string', 'return 7;' => 'int', 'return false;' => 'bool'] as $code => $type) {
    $ferry->run(['size', '--bootstrap=' . bootstrap($code)])->refused("a bootstrap file that returns $type", 2, "the bootstrap file returned a value of type $type");
}
foreach (['', 'return;', 'return true;', 'return new stdClass();', 'return [];'] as $code) {
    $ferry->run(['size', '--bootstrap=' . bootstrap($code)])->well("a bootstrap file with `$code`");
}
$ferry->run(['work', '--once', '--bootstrap=' . bootstrap('return ["on" => "processed"];')])->refused('listeners that are none', 2, '`on` in the array of the bootstrap file');
foreach (['exit();', 'exit(0);', 'exit(7);', 'register_shutdown_function(fn () => print("the application says goodbye")); exit();'] as $code) {
    $said = $ferry->run(['size', '--bootstrap=' . bootstrap($code)])->refused("a bootstrap file with `$code`", 1, 'the bootstrap file ended the process');
    same("`$code`: its own shutdown functions run", str_contains($code, 'goodbye') ? 'the application says goodbye' : '', $said->out);
}
$ferry->run(['size', '--config=' . bootstrap('exit();')])->refused('a config file that ends the process', 1, 'the file of --config ended the process');
$said = $ferry->run(['size', '--config=' . bootstrap('return ["host" => env("HOST")];')])->refused('a config file that needs the framework', 2, 'Call to undefined function env()');
holds('what to do', '--bootstrap=FILE', $said->err);
$ferry->run(['size', '--bootstrap=' . bootstrap('throw new Exception("esc \x1b[31m\nferry: forged");')])->refused('nothing steers the terminal', 1, 'esc \u{1B}[31m\nferry: forged');
$ferry->run(['size', '--config=nowhere.php'])->refused('no config file', 2, 'there is no file nowhere.php (--config)');
$ferry->run(['size', '--config=' . bootstrap('return 7;')])->refused('a config file without an array', 2, 'does not return an array');
$ferry->run(['size', '-c', 'nobody'])->refused('no such connection', 2, 'nobody');
(new Ferry(['FERRY_URL' => 'redis://127.0.0.1:1']))->run(['size'])->refused('no broker', 1, 'Connection refused');
(new Ferry(['FERRY_URL' => 'redis://:secret@127.0.0.1:1?hots=1']))->run(['size'])->refused('a wrong DSN', 2, '`hots`');
$ferry->run(['nothing'])->refused('no such command', 2, 'Command "nothing" is not defined');
$ferry->run(['size', '--jsn'])->refused('no such option', 2, '"--jsn" option does not exist (did you mean --json?)');
$ferry->run(['work', '--trys=3'])->refused('an option of the bootstrap file', 2, '(did you mean --tries?)');
$ferry->run(['work', '--max_jobs', '3'])->refused('underscores', 2, '(did you mean --max-jobs?)');
$ferry->run(['size', '--no-ansi', '--no-interaction', '-c', 'default'])->well('options of symfony/console');
foreach (['queue:work' => 'work', 'queue:failed-table' => 'schema', 'queue:prune-failed' => 'prune'] as $there => $here) {
    $ferry->run([$there, "--tries=3"])->refused("think-queue's $there", 2, "here it is `ferry $here`");
}
$ferry->run(['work', '--tries=many'])->refused('a wrong value', 2, '--tries needs a number without a unit, for example --tries=3, not `many`');
$ferry->run(['work', '--memory=128M'])->refused('a unit', 2, 'for example --memory=128');
$ferry->run(['listen', '--timeout=1min'])->refused('a unit, for the listener', 2, 'for example --timeout=300');
$ferry->run(['work', 'one', '--connection=two'])->refused('two connections', 2, 'two connections are named');
$ferry->run(['work', '--processes=0'])->refused('no processes', 2, '--processes needs a number from 1 to 300');
$ferry->run(['work', '--processes=2', '--health-file=/tmp/x'])->refused('one file for two', 2, '{slot}');

$secret = bootstrap('return "redis://:topsecret@127.0.0.1:1?hots=1";');
$traced = $ferry->run(['size', '-v', "--config=$secret"])->refused('a wrong DSN with -v', 2, '`hots`');
holds('where it came from', 'Connections.php', $traced->err);
check('no secret', !str_contains($traced->err, 'topsec'), $traced->err);

// Without what it needs.
$bare = [getenv('FERRY_PHP'), '-n'];
$ferry->run_command([...$bare, '-d', 'extension=' . getenv('FERRY_SO'), project('php/bin/ferry'), 'size'])->refused('without mbstring and intl', 1, 'symfony/console needs mbstring and intl');
$uses = bootstrap('Ferry\Queue::configure("memory:");');
$said = $ferry->run_command([...$bare, ...Ferry::needed(alone: true), project('php/bin/ferry'), 'size', "--bootstrap=$uses"])->refused('without the extension', 1, 'the extension ferry is not loaded');
check('said before the bootstrap file fails for want of it', !str_contains($said->err, 'Ferry\\Queue'), $said->err);

// A worker without an application fails all its jobs, so it says that it has none.
unlink(temp_dir() . '/vendor/autoload.php');
foreach ([['work', '--once', '--sleep=0'], ['work', '--once', '--sleep=0', '-p1']] as $words) {
    $words = [...$words, '--status=0', '--queue=a'];
    $file = Ferry::on(['type' => 'sqlite', 'path' => temp_dir() . '/nobody.sqlite']);
    $said = $file->run($words);
    same(implode(' ', $words) . ': it runs', 0, $said->code);
    same(implode(' ', $words) . ': it says so once', 1, substr_count($said->err, 'no application is loaded'));
    holds('where it looked', 'no vendor/autoload.php in ' . realpath(temp_dir()), $said->err);
    same('with a bootstrap file', '', $file->run([...$words, '--bootstrap=' . bootstrap('')])->well('bootstrapped')->err);
    $file->run([...$words, '-q'])->well('quiet');
}
touch(temp_dir() . '/vendor/autoload.php');
Ferry::on(['type' => 'sqlite', 'path' => temp_dir() . '/nobody.sqlite'])->run(['work', '--once', '--sleep=0', '--status=0'])->well('with an autoloader');
$said = Ferry::on(['type' => 'sqlite', 'path' => temp_dir() . '/nobody.sqlite'])->run(['size'])->well('size needs no application');
done();
--EXPECT--
ok
