<?php

namespace Shop\Stage;

use PDO;
use Shop\Database;
use Shop\Order;
use Shop\Settings;

/** A page for people: each order, what became of it, and the sales. It is one file beside the mails and pictures, and needs no server. */
final class Page
{
    /** @return string the path of the page */
    public static function write(Settings $settings): string
    {
        $mails = self::mails($settings);
        $rows = '';
        $orders = Database::open($settings->path('warehouse.sqlite'))->query('SELECT number, email, total FROM orders ORDER BY number')->fetchAll(PDO::FETCH_NUM);
        foreach ($orders as [$number, $email, $total]) {
            $rows .= self::row($settings, $number, $email, (int) $total, $mails[$email] ?? null);
        }
        $chart = file_get_contents($settings->path('report/sales.svg'));
        $count = count($orders);
        file_put_contents($path = $settings->path('page.html'), <<<HTML
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <title>The shop: $count orders</title>
            <style>
            body { font: 15px sans-serif; max-width: 1000px; margin: 2em auto; }
            table { border-collapse: collapse; width: 100% }
            td, th { border-bottom: 1px solid #ccc; padding: 6px; text-align: left; vertical-align: top }
            td img { width: 160px }
            </style>
            </head>
            <body>
            <h1>The shop</h1>
            <div id="chart">$chart</div>
            <h2>$count orders</h2>
            <p>Pictures that this browser could show: <b id="shown">none</b></p>
            <table>
            <tr><th>Order<th>Customer<th>Total<th>E-mail<th>SMS<th>Picture</tr>
            $rows</table>
            <script>
            addEventListener('load', () => {
                document.getElementById('shown').textContent = [...document.images].filter(image => image.naturalWidth > 0).length;
            });
            </script>
            </body>
            </html>

            HTML);
        return $path;
    }

    /** @return array<string, array{string, Mail}> file and mail by recipient */
    private static function mails(Settings $settings): array
    {
        $mails = [];
        foreach (glob($settings->path('mail/*.eml')) as $file) {
            $mail = Mail::read($file);
            $mails[$mail->to] = [basename($file), $mail];
        }
        return $mails;
    }

    private static function row(Settings $settings, string $number, string $email, int $total, ?array $sent): string
    {
        $missing = '<em>not yet</em>';
        $mail = $missing;
        if ($sent !== null) {
            [$file, $message] = $sent;
            $mail = sprintf('<details><summary>%s</summary><pre>%s</pre><a href="mail/%s">as it was sent</a></details>', htmlspecialchars($message->subject), htmlspecialchars($message->body), $file);
        }
        $sms = json_decode((string) @file_get_contents($settings->path("sms/order-$number.json")), true)['text'] ?? null;
        $picture = "pictures/$number.jpg";
        $cells = [
            $number, htmlspecialchars($email), Order::money($total), $mail, $sms === null ? $missing : htmlspecialchars($sms),
            is_file($settings->path($picture)) ? "<a href=\"$picture\"><img src=\"$picture\" alt=\"the picture of order $number\"></a>" : $missing,
        ];
        return "<tr id=\"$number\"><td>" . implode('</td><td>', $cells) . "</td></tr>\n";
    }
}
