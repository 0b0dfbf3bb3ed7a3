--TEST--
A script of opcache.preload may use the names of think-queue; they are offered when requests run
--SKIPIF--
<?php
if (!file_exists(ini_get('extension_dir') . '/opcache.so') && !extension_loaded('Zend OPcache')) die('skip opcache is missing');
?>
--FILE--
<?php
require __DIR__ . '/../support/child.php';

$dir = temp_dir();
file_put_contents("$dir/job.php", '<?php class PreJob implements think\queue\ShouldQueue { public function handle() { echo "handled\n"; } } class PreHandler extends think\queue\CallQueuedHandler {}');
file_put_contents("$dir/preload.php", '<?php file_put_contents(__DIR__ . "/known", json_encode(class_exists("think\Queue"))); opcache_compile_file(__DIR__ . "/job.php"); class Preloaded { public static function push() { return think\Queue::push("Anything"); } }');
$opcache = extension_loaded('Zend OPcache') ? [] : ['-d', 'zend_extension=opcache.so'];
$user = posix_getpwuid(posix_geteuid())['name'];
$flags = [...$opcache, '-d', 'opcache.enable=1', '-d', 'opcache.enable_cli=1', '-d', "opcache.preload=$dir/preload.php", '-d', "opcache.preload_user=$user"];
$child = Child::php(<<<'PHP'
Ferry\Queue::configure('memory:');
require dirname(__FILE__) . '/job.php';
echo strlen(Preloaded::push()), "\n";
think\Queue::push(new PreJob);
(new Ferry\Worker(['log' => 'none', 'stop_when_empty' => true, 'sleep' => 0, 'tries' => 1]))->run();
echo get_parent_class('PreHandler'), ' ', json_encode(is_a('think\Queue', 'Ferry\Queue', true)), "\n";
PHP, $flags);
same('exit code', 0, $child->wait());
same('said', "32\nhandled\nFerry\CallQueuedHandler true\n", $child->out());

// A preload script that loads the autoloader, whose files are required, and then compiles all of vendor/.
$autoload = var_export(project('php/autoload.php'), true);
$files = var_export(glob(project('php/src') . '/{,Think/}*.php', GLOB_BRACE), true);
file_put_contents("$dir/preload-all.php", "<?php require $autoload; array_map('opcache_compile_file', $files);");
$flags[array_search("opcache.preload=$dir/preload.php", $flags, true)] = "opcache.preload=$dir/preload-all.php";
$child = Child::php("require $autoload;" . ' Ferry\Queue::configure("memory:"); echo strlen(Ferry\queue("Anything")), json_encode(function_exists("queue")), "\n";', $flags);
same('exit code', 0, $child->wait());
same('all of the library preloaded', "32false\n", $child->out());
// An alias of an internal class must not get into the table of classes that opcache keeps.
same('not while preloading', 'false', file_get_contents("$dir/known"));
done();
?>
--EXPECT--
ok
