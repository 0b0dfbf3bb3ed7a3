<?php

// Plays the shop: starts everything, orders, kills workers in mid-job, waits for the effects, checks them, stops everything.
//
//     php run.php FOLDER      a folder that holds `app` (the shop) and `ferry.so`

require __DIR__ . '/../src/autoload.php';

use Shop\Order;
use Shop\Settings;
use Shop\Stage\Browser;
use Shop\Stage\Checks;
use Shop\Stage\Crashes;
use Shop\Stage\Orders;
use Shop\Stage\Page;
use Shop\Stage\Photos;
use Shop\Stage\Process;
use Shop\Stage\Rabbit;
use Shop\Stage\Site;
use Shop\Stage\Wait;
use Shop\Stage\Workers;

const ORDERS = 300;
const OLD_ORDERS = 1000;
const AT_ONCE = 4;
const REPEATED = 20;

/** Milliseconds within which 99 of 100 requests must be answered. Where several programs wait for each core already, all takes longer. */
function bound(float $load): float
{
    return (float) (getenv('SHOP_P99_MS') ?: 200) * max(1.0, $load / cores());
}

function cores(): int
{
    return max(1, (int) preg_match_all('/^processor/m', (string) @file_get_contents('/proc/cpuinfo')));
}

function machine(): string
{
    $cpu = preg_match('/^model name\s*:\s*(.+)$/m', (string) @file_get_contents('/proc/cpuinfo'), $found) ? $found[1] : php_uname('m');
    return sprintf('%s, %d cores, PHP %s', $cpu, cores(), PHP_VERSION);
}

function say(string $line): void
{
    echo "$line\n";
}

/** A line that is the same on every machine. */
function report(string $topic, string $line): void
{
    say($line = sprintf('%-11s %s', $topic, $line));
    file_put_contents(getenv('SHOP_DIR') . '/report.txt', "$line\n", FILE_APPEND);
}

/** Where things are, for the shop's own programs. */
function environment(string $folder, Rabbit $rabbit, Process $sink, int $port): array
{
    Wait::until(fn () => preg_match('/^port \d+$/m', $sink->log()) === 1, 'the SMTP sink listens');
    preg_match('/^port (\d+)$/m', $sink->log(), $found);
    return [
        'FERRY_URL' => $rabbit->url(),
        'SHOP_DIR' => $folder,
        'SHOP_SMTP' => "127.0.0.1:$found[1]",
        'SHOP_SMS_URL' => "http://127.0.0.1:$port/sms",
        'SHOP_SMS_TOKEN' => 'not-a-secret',
        'SHOP_SMS_HOLD' => 'order-A0020',
        'SHOP_SMS_REFUSE' => 'order-A0030',
    ];
}

function folders(string $folder): void
{
    foreach (['mail', 'sms', 'photos', 'pictures', 'report', 'logs'] as $name) {
        is_dir("$folder/$name") || mkdir("$folder/$name");
    }
    // The SMS provider's pool writes here, and is not root.
    posix_geteuid() === 0 && chown("$folder/sms", 'www-data');
}

/** @param list<Order> $old */
function write_old_orders(string $file, array $old): void
{
    file_put_contents($file, implode('', array_map(fn (Order $order) => json_encode($order->toArray()) . "\n", $old)));
}

/** Every effect is a file or a row, so waiting for the last one is waiting for all. */
function wait_for_effects(Settings $settings, Workers $workers): void
{
    $count = fn (string $pattern) => count(glob($settings->path($pattern)));
    $report = new Shop\Report($settings->path('report'));
    $imported = Shop\ImportOrder::database($settings);
    Wait::until(function () use ($workers, $count, $report, $imported) {
        $workers->mustRun();
        return $count('mail/*.eml') >= ORDERS && $count('sms/order-*.json') >= ORDERS && $count('pictures/*.jpg') >= ORDERS
            && $report->orders() >= ORDERS && $imported->query('SELECT COUNT(*) FROM imported')->fetchColumn() >= OLD_ORDERS;
    }, 'all is done', 180, fn () => sprintf(
        "mails %d, SMS %d, pictures %d, orders in the report %d, imported %d\n",
        ...[$count('mail/*.eml'), $count('sms/order-*.json'), $count('pictures/*.jpg'), $report->orders(), $imported->query('SELECT COUNT(*) FROM imported')->fetchColumn()],
    ));
}

$folder = $argv[1];
$php = [PHP_BINARY, '-d', "extension=$folder/ferry.so"];
$started = [];
pcntl_async_signals(true);
array_map(fn ($signal) => pcntl_signal($signal, fn () => exit(1)), [SIGINT, SIGTERM]);
// Last started, first stopped; exit() comes here too.
register_shutdown_function(function () use (&$started) {
    array_map(fn ($one) => $one->stop(), array_reverse($started));
});

set_exception_handler(function (Throwable $e) {
    fwrite(STDERR, "FAILED: {$e->getMessage()}\n");
    exit(1);
});

$busy = sys_getloadavg()[0];
$bound = bound($busy);
folders($folder);
$orders = Orders::many('A', ORDERS);
$old = Orders::many('H', OLD_ORDERS);
write_old_orders("$folder/old-orders.jsonl", $old);

say('== starting RabbitMQ, an SMTP sink, the SMS provider, php-fpm, nginx and the workers');
Photos::take("$folder/photos");
$started[] = $rabbit = Rabbit::start($folder);
$started[] = $sink = Process::start($folder, 'smtp-sink', [PHP_BINARY, __DIR__ . '/smtp-sink.php', "$folder/mail", $orders[9]->email]);
$port = Site::port();
$environment = environment($folder, $rabbit, $sink, $port);
$started[] = $site = Site::start($folder, "$folder/app", $environment, $port);
foreach ($environment as $name => $value) {
    putenv("$name=$value");
}
$settings = Settings::fromEnvironment();
$started[] = $workers = new Workers($folder, "$folder/app", $php, $environment);
$workers->start();
$idle = fn () => ($rabbit->consumers()['task.low'] ?? 0) === Workers::TASK_WORKERS;
Wait::until($idle, 'the workers listen', 60, fn () => json_encode($rabbit->consumers()));

say('== ordering over HTTP, importing old orders, and killing workers in mid-job');
$began = microtime(true);
$started[] = $load = Process::start($folder, 'load', [...$php, __DIR__ . '/load.php', $site->url('/orders'), (string) ORDERS, (string) AT_ONCE]);
$crashes = new Crashes($settings, $workers);
$crashes->amidMail();
$crashes->amidSms();
$crashes->amidImport(fn () => Process::start($folder, 'import', [...$php, "$folder/app/import.php", "$folder/old-orders.jsonl"], $environment));
$load->wait(120) === 0 || throw new RuntimeException("the load ended badly: {$load->log()}");
wait_for_effects($settings, $workers);
$seconds = microtime(true) - $began;
// What is done already is done again.
$again = Process::start($folder, 'sync-again', [...$php, "$folder/app/stage/sync-again.php", (string) REPEATED], $environment);
$again->wait() === 0 || throw new RuntimeException("the repetition ended badly: {$again->log()}");
Wait::until(fn () => array_sum($rabbit->messages()) === 0, 'no message is left', 60, fn () => json_encode(array_filter($rabbit->messages())));
$left = $workers->stop();

$load = json_decode($load->log(), true, 8, JSON_THROW_ON_ERROR);
[$p50, $p99] = Checks::p50AndP99($load['ms']);
say('== measured');
say(sprintf('%d orders over HTTP, %d at a time, workers running: answered in %.1f ms (p50), %.1f ms (p99)', ORDERS, AT_ONCE, $p50, $p99));
say(sprintf('bound for p99: %.0f ms, with a load of %.1f on %d cores before the start', $bound, $busy, cores()));
say(sprintf('all effects of %d orders and %d imports after %.1f s', ORDERS, OLD_ORDERS, $seconds));
say('on ' . machine());

say('== what became of it');
$checks = new Checks($settings, $orders);
$checks->same('answers of the web endpoint', [202 => ORDERS], $load['statuses']);
$checks->holds(sprintf('p99 %.1f ms is within %.0f ms', $p99, $bound), $p99 <= $bound);
report('orders', ORDERS . ' over HTTP, all accepted, p99 within the bound');
report('e-mails', $checks->mails());
report('SMS', $checks->sms() . '; ' . $checks->smsRequests());
report('pictures', $checks->pictures());
report('warehouse', $checks->warehouse() . '; ' . REPEATED . ' repeated syncs changed nothing');
report('report', $checks->report());
report('chart', $checks->chart());
report('page', $checks->page(...Browser::open($folder, Page::write($settings))));
report('import', $checks->import($old));
report('crashes', "{$workers->killed} workers killed in mid-job, no effect lost");
report('queues', $checks->queues($rabbit->messages()));
report('workers', $left . ' left with exit code 0');
