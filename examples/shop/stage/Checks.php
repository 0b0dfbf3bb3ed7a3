<?php

namespace Shop\Stage;

use RuntimeException;
use Shop\Catalogue;
use Shop\Chart;
use Shop\Database;
use Shop\Handlers\MakePicture;
use Shop\Handlers\SendOrderMail;
use Shop\Handlers\SendSms;
use Shop\ImportOrder;
use Shop\Order;
use Shop\Report;
use Shop\Settings;
use Shop\Warehouse;

/** What must be true in the end. Every check looks at the effect itself, and throws when something is missing, wrong or there twice. */
final class Checks
{
    /** @param list<Order> $orders */
    public function __construct(private Settings $settings, private array $orders)
    {
    }

    public function mails(): string
    {
        $found = [];
        foreach (glob($this->settings->path('mail/*.eml')) as $file) {
            $mail = Mail::read($file);
            $found[$mail->to][] = $mail;
        }
        $this->same('recipients', array_map(fn (Order $order) => $order->email, $this->orders), array_keys($found));
        foreach ($this->orders as $order) {
            $this->same("mails to {$order->email}", 1, count($found[$order->email]));
            $mail = $found[$order->email][0];
            $this->same("sender, order {$order->number}", 'orders@shop.example', $mail->from);
            $this->same("subject, order {$order->number}", SendOrderMail::subject($order), $mail->subject);
            $this->same("body, order {$order->number}", SendOrderMail::body($order), $mail->body);
        }
        return count($this->orders) . ', each order once, to its customer, with its lines and total';
    }

    public function sms(): string
    {
        $found = [];
        foreach (glob($this->settings->path('sms/order-*.json')) as $file) {
            $found[basename($file, '.json')] = json_decode(file_get_contents($file), true);
        }
        $expected = [];
        foreach ($this->orders as $order) {
            $expected["order-{$order->number}"] = ['to' => $order->phone, 'text' => SendSms::text($order)];
        }
        $this->same('SMS', $expected, $found);
        return count($found) . ', each order once, to its number';
    }

    /** Requests that the SMS API saw: one for each order, one that was answered 503, one of the worker that was killed. */
    public function smsRequests(): string
    {
        $requests = array_count_values(file($this->settings->path('sms/requests.log'), FILE_IGNORE_NEW_LINES));
        $repeated = array_keys(array_filter($requests, fn ($times) => $times > 1));
        sort($repeated);
        $this->same('repeated SMS requests', ['order-A0020', 'order-A0030'], $repeated);
        return 'repeated with their keys: ' . implode(', ', $repeated);
    }

    public function pictures(): string
    {
        $plain = [];
        foreach ($this->orders as $order) {
            $article = $order->firstArticle();
            $photo = $this->settings->path("photos/$article.jpg");
            $plain[$article] ??= MakePicture::resized($photo);
            $this->picture($order, $photo, $plain[$article]);
        }
        $this->same('files in pictures', count($this->orders), count(glob($this->settings->path('pictures/*'))));
        return count($this->orders) . ' JPEG of 480 x 320 with a watermark, a tenth of the photo\'s bytes or less';
    }

    private function picture(Order $order, string $photo, \GdImage $plain): void
    {
        $path = $this->settings->path("pictures/{$order->number}.jpg");
        [$width, $height, $type] = getimagesize($path) ?: [0, 0, 0];
        $this->same("size of $path", [480, 320, IMAGETYPE_JPEG], [$width, $height, $type]);
        $this->holds("$path is smaller than its photo", filesize($path) * 10 <= filesize($photo));
        $picture = imagecreatefromjpeg($path);
        $edge = $height - MakePicture::BAND;
        $this->holds("$path shows its photo", $this->difference($picture, $plain, 0, $edge) < 12);
        $this->holds("$path has a watermark", $this->difference($picture, $plain, $edge, $height) > 40);
    }

    /** How far two pictures are apart between two heights: the mean over a grid, of 255. */
    private function difference(\GdImage $one, \GdImage $other, int $from, int $to): float
    {
        $sum = $points = 0;
        for ($y = $from + 3; $y < $to - 3; $y += 5) {
            for ($x = 3; $x < imagesx($one); $x += 13) {
                [$a, $b] = [imagecolorat($one, $x, $y), imagecolorat($other, $x, $y)];
                $sum += abs(($a >> 16 & 255) - ($b >> 16 & 255)) + abs(($a >> 8 & 255) - ($b >> 8 & 255)) + abs(($a & 255) - ($b & 255));
                $points += 3;
            }
        }
        return $sum / $points;
    }

    public function warehouse(): string
    {
        $pdo = Database::open($this->settings->path('warehouse.sqlite'));
        $expected = $lines = [];
        foreach ($this->orders as $order) {
            $expected[] = [$order->number, $order->email, $order->total()];
            foreach ($order->lines as $article => $quantity) {
                $lines[] = [$order->number, $article, $quantity, Catalogue::price($article) * $quantity];
            }
        }
        $rows = fn (string $sql) => $pdo->query($sql)->fetchAll(\PDO::FETCH_NUM);
        $this->same('orders in the warehouse', $expected, $rows('SELECT number, email, total FROM orders ORDER BY number'));
        sort($lines);
        $this->same('lines in the warehouse', $lines, $rows('SELECT number, article, quantity, amount FROM lines ORDER BY number, article'));
        return count($expected) . ' orders with ' . count($lines) . ' lines';
    }

    public function report(): string
    {
        $sales = self::sales($this->orders);
        $rows = [['article', 'name', 'units', 'cents']];
        foreach ($sales as $article => [$units, $cents]) {
            $rows[] = [$article, Catalogue::name($article), (string) $units, (string) $cents];
        }
        $total = array_sum(array_map(fn (Order $order) => $order->total(), $this->orders));
        $rows[] = ['TOTAL', (string) count($this->orders), (string) array_sum(array_column($sales, 0)), (string) $total];
        $this->same('sales.csv', $rows, (new Report($this->settings->path('report')))->rows());
        return count($sales) . ' articles, ' . count($this->orders) . ' orders, ' . Order::money($total) . ': as ordered';
    }

    public function chart(): string
    {
        return $this->chartIn(file_get_contents($this->settings->path('report/sales.svg')));
    }

    private function chartIn(string $svg): string
    {
        $sales = self::sales($this->orders);
        preg_match_all('/<rect class="bar"[^>]* height="(\d+)"/', $svg, $bars);
        $heights = Chart::heights($sales);
        $this->same('the bars of the chart', $heights, array_map('intval', $bars[1]));
        $texts = [Chart::TITLE, 'EUR', ...array_map(fn ($one) => Chart::value($one[1]), array_values($sales)), ...array_map([Catalogue::class, 'name'], array_keys($sales))];
        foreach ($texts as $text) {
            $this->holds("the chart says $text", preg_match('/<text[^>]*>' . preg_quote($text, '/') . '<\/text>/', $svg) === 1);
        }
        $this->same('the axes of the chart', 2, substr_count($svg, 'class="axis"'));
        return 'SVG with a title, two axes and ' . count($heights) . ' bars as high as their sales, with their values';
    }

    /** What a browser made of the page. */
    public function page(string $document, array $console): string
    {
        $this->same('the console of the browser', [], $console);
        $this->chartIn($document);
        preg_match('/<b id="shown">(\w+)<\/b>/', $document, $shown);
        $this->same('pictures that the browser shows', (string) count($this->orders), $shown[1] ?? '');
        preg_match_all('/<tr id="(\w+)">(.*?)<\/tr>/s', $document, $rows);
        $this->same('orders of the page', array_map(fn (Order $order) => $order->number, $this->orders), $rows[1]);
        $escaped = fn (string $text) => htmlspecialchars($text, ENT_NOQUOTES);
        foreach ($this->orders as $index => $order) {
            $pieces = [$order->email, Order::money($order->total()), SendOrderMail::subject($order), SendOrderMail::body($order), SendSms::text($order)];
            foreach (array_map($escaped, $pieces) as $piece) {
                $this->holds("the page says of order {$order->number}: $piece", str_contains($rows[2][$index], $piece));
            }
            $this->holds("the page shows the picture of order {$order->number}", str_contains($rows[2][$index], "<img src=\"pictures/{$order->number}.jpg\""));
        }
        return count($this->orders) . ' orders with their mails, SMS, pictures, and the chart, in a browser; its console is empty';
    }

    /** @param list<Order> $old */
    public function import(array $old): string
    {
        $pdo = ImportOrder::database($this->settings);
        $pairs = fn (string $sql) => $pdo->query($sql)->fetchAll(\PDO::FETCH_KEY_PAIR);
        $totals = [];
        foreach ($old as $order) {
            $totals[$order->number] = $order->total();
        }
        $this->same('imported orders', $totals, $pairs('SELECT number, total FROM imported ORDER BY number'));
        $units = array_map(fn ($sold) => $sold[0], self::sales($old));
        $this->same('units sold, which count an order as often as it was imported', $units, $pairs('SELECT article, units FROM sold ORDER BY article'));
        return count($totals) . ' old orders, each once';
    }

    /** @param array<string, int> $messages by queue */
    public function queues(array $messages): string
    {
        foreach (['task.high', 'task.normal', 'task.low', 'task.dlq', 'import.1', 'import.4'] as $queue) {
            $this->holds("there is a queue $queue", isset($messages[$queue]));
        }
        $this->same('messages left', [], array_filter($messages));
        return 'empty, no dead letter';
    }

    /** @param list<float> $ms @return array{float, float} */
    public static function p50AndP99(array $ms): array
    {
        sort($ms);
        $at = fn (int $percent) => $ms[(int) ceil(count($ms) * $percent / 100) - 1];
        return [$at(50), $at(99)];
    }

    /**
     * @param list<Order> $orders
     * @return array<string, array{int, int}> units and cents by article
     */
    private static function sales(array $orders): array
    {
        $sales = [];
        foreach ($orders as $order) {
            foreach ($order->lines as $article => $quantity) {
                [$units, $cents] = $sales[$article] ?? [0, 0];
                $sales[$article] = [$units + $quantity, $cents + Catalogue::price($article) * $quantity];
            }
        }
        ksort($sales);
        return $sales;
    }

    public function holds(string $what, bool $holds): void
    {
        $holds || throw new RuntimeException("NOT: $what");
    }

    /** Lists and maps are compared without regard to their order. */
    public function same(string $what, mixed $expected, mixed $seen): void
    {
        if (is_array($expected) && is_array($seen)) {
            array_is_list($expected) ? [sort($expected), sort($seen)] : [ksort($expected), ksort($seen)];
        }
        if ($expected !== $seen) {
            $text = fn (mixed $value) => substr(json_encode($value, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), 0, 1000);
            throw new RuntimeException("$what\n  expected: {$text($expected)}\n  found:    {$text($seen)}");
        }
    }
}
