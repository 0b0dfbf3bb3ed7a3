<?php

// The peers in a file, each in one of its own in WAL mode, as Ferry has it: with SQLite's default journal their commits take longer.

declare(strict_types=1);

namespace Bench;

use Doctrine\DBAL\DriverManager;
use Illuminate\Container\Container;
use Illuminate\Database\SQLiteConnection;
use Illuminate\Queue\DatabaseQueue;
use Symfony\Component\Messenger\Bridge\Doctrine\Transport\Connection;
use Symfony\Component\Messenger\Bridge\Doctrine\Transport\DoctrineTransport;
use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Transport\Serialization\PhpSerializer;

require __DIR__ . '/peers.php';

/** Peer => what it needs: Debian's packages, the files to load, the class here. */
const PEERS = [
    'illuminate/queue, WAL' => [
        'php-illuminate-queue and php-illuminate-database',
        ['Illuminate/Queue/autoload.php', 'Illuminate/Database/autoload.php'],
        IlluminateOnSqlite::class,
    ],
    'symfony/messenger, WAL' => [
        'php-symfony-doctrine-messenger and php-doctrine-dbal',
        ['Doctrine/DBAL/autoload.php', 'Symfony/Component/Messenger/autoload.php', 'Symfony/Component/Messenger/Bridge/Doctrine/autoload.php'],
        SymfonyOnSqlite::class,
    ],
];

/** Its driver `database`, with the table of its migration. */
final class IlluminateOnSqlite implements Peer
{
    private \PDO $pdo;
    private DatabaseQueue $queue;

    public function __construct()
    {
        $this->pdo = new \PDO('sqlite:' . file_of('illuminate'), null, null, [\PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION]);
        $this->pdo->exec('PRAGMA journal_mode = WAL');
        $this->pdo->exec('CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, queue VARCHAR NOT NULL, payload TEXT NOT NULL,
            attempts INTEGER NOT NULL, reserved_at INTEGER, available_at INTEGER NOT NULL, created_at INTEGER NOT NULL)');
        $this->pdo->exec('CREATE INDEX IF NOT EXISTS jobs_queue_index ON jobs (queue)');
        $this->queue = new DatabaseQueue(new SQLiteConnection($this->pdo), 'jobs', QUEUE);
        $this->queue->setContainer(new Container());
        $this->queue->setConnectionName('database');
    }

    public function set_up(): void
    {
        $this->pdo->exec('DELETE FROM jobs');
    }

    public function push(): void
    {
        $this->queue->push(\BenchJob::class, DATA);
    }

    public function work(): bool
    {
        $job = $this->queue->pop();
        $job?->fire();
        return $job !== null;
    }

    public function expect_queue(int $ready, string $who): void
    {
        expect($ready, (int) $this->pdo->query('SELECT count(*) FROM jobs WHERE reserved_at IS NULL')->fetchColumn(), "$who: rows ready");
        expect($ready, (int) $this->pdo->query('SELECT count(*) FROM jobs')->fetchColumn(), "$who: rows");
    }
}

/** Its Doctrine transport, which makes its own table. */
final class SymfonyOnSqlite implements Peer
{
    private \Doctrine\DBAL\Connection $database;
    private DoctrineTransport $transport;

    public function __construct()
    {
        $this->database = DriverManager::getConnection(['driver' => 'pdo_sqlite', 'path' => file_of('symfony')]);
        $this->database->executeStatement('PRAGMA journal_mode = WAL');
        $this->transport = new DoctrineTransport(new Connection(['queue_name' => QUEUE], $this->database), new PhpSerializer());
        $this->transport->setup();
    }

    public function set_up(): void
    {
        $this->database->executeStatement('DELETE FROM messenger_messages');
    }

    public function push(): void
    {
        $this->transport->send(new Envelope(new \BenchMessage(DATA)));
    }

    public function work(): bool
    {
        $worked = false;
        foreach ($this->transport->get() as $envelope) {
            (new \BenchMessageHandler())($envelope->getMessage());
            $this->transport->ack($envelope);
            $worked = true;
        }
        return $worked;
    }

    public function expect_queue(int $ready, string $who): void
    {
        $count = fn (string $where) => (int) $this->database->fetchOne("SELECT count(*) FROM messenger_messages $where");
        expect($ready, $count('WHERE delivered_at IS NULL'), "$who: messages ready");
        expect($ready, $count(''), "$who: messages");
    }
}
