<?php

// An SMTP server that delivers nothing: each mail becomes a file, its envelope first. Prints its port. Many clients at a time, one thread.
//
//     php smtp-sink.php FOLDER [HOLD]
//
// HOLD: the first time this recipient is named, nothing is answered; the file `held` in the folder says who asked. Whoever gives up then
// has sent nothing.

/** What one client has said so far. */
final class Client
{
    public string $unread = '';
    public string $helo = '';
    public string $from = '';
    /** @var list<string> */
    public array $to = [];
    /** The lines of a mail while they come, else null. */
    public ?array $mail = null;
}

final class Sink
{
    private int $stored = 0;

    public function __construct(private string $folder, private string $hold)
    {
    }

    public function serve(): void
    {
        $server = stream_socket_server('tcp://127.0.0.1:0');
        echo 'port ', substr(strrchr(stream_socket_get_name($server, false), ':'), 1), "\n";
        $links = $clients = [];
        while (true) {
            $readable = [...$links, $server];
            $none = null;
            // A signal ends the wait, and the process.
            if (!@stream_select($readable, $none, $none, null)) {
                continue;
            }
            foreach ($readable as $link) {
                if ($link === $server) {
                    $link = stream_socket_accept($server);
                    [$links[(int) $link], $clients[(int) $link]] = [$link, new Client()];
                    fwrite($link, "220 sink ESMTP\r\n");
                } elseif (!$this->read($link, $clients[(int) $link])) {
                    unset($links[(int) $link], $clients[(int) $link]);
                    fclose($link);
                }
            }
        }
    }

    /** @return bool whether the client is still there */
    private function read($link, Client $client): bool
    {
        $piece = @fread($link, 1 << 16);
        $client->unread .= (string) $piece;
        while (($end = strpos($client->unread, "\r\n")) !== false) {
            $line = substr($client->unread, 0, $end);
            $client->unread = substr($client->unread, $end + 2);
            $answer = $client->mail === null ? $this->command($client, $line) : $this->line($client, $line);
            $answer !== null && @fwrite($link, "$answer\r\n");
            if ($line === 'QUIT' && $client->mail === null) {
                return false;
            }
        }
        return $piece !== false && ($piece !== '' || !feof($link));
    }

    private function command(Client $client, string $line): ?string
    {
        $verb = strtoupper(strtok($line, ' :'));
        return match ($verb) {
            'EHLO', 'HELO' => $this->hello($client, $line),
            'MAIL' => $this->from($client, $line),
            'RCPT' => $this->recipient($client, $line),
            'DATA' => $this->data($client),
            'QUIT' => '221 bye',
            'RSET', 'NOOP' => '250 ok',
            default => '502 not here',
        };
    }

    private function hello(Client $client, string $line): string
    {
        $client->helo = substr($line, 5);
        return '250 sink';
    }

    private function from(Client $client, string $line): string
    {
        [$client->from, $client->to] = [self::address($line), []];
        return '250 ok';
    }

    private function recipient(Client $client, string $line): ?string
    {
        $client->to[] = self::address($line);
        if ($this->hold !== '' && end($client->to) === $this->hold) {
            $this->hold = '';
            $this->put("{$this->folder}/held", $client->helo);
            return null;
        }
        return '250 ok';
    }

    private function data(Client $client): string
    {
        $client->mail = [];
        return '354 go on';
    }

    private function line(Client $client, string $line): ?string
    {
        if ($line !== '.') {
            // A dot at the start of a line was doubled on the way.
            $client->mail[] = str_starts_with($line, '.') ? substr($line, 1) : $line;
            return null;
        }
        $envelope = ["Envelope-From: {$client->from}", ...array_map(fn ($to) => "Envelope-To: $to", $client->to)];
        $this->put(sprintf('%s/%05d.eml', $this->folder, ++$this->stored), implode("\r\n", [...$envelope, ...$client->mail]) . "\r\n");
        $client->mail = null;
        return '250 stored';
    }

    private static function address(string $line): string
    {
        return preg_match('/<([^>]*)>/', $line, $found) ? $found[1] : '';
    }

    /** Nobody sees half a file. */
    private function put(string $path, string $text): void
    {
        file_put_contents("$path.new", $text);
        rename("$path.new", $path);
    }
}

(new Sink($argv[1], $argv[2] ?? ''))->serve();
