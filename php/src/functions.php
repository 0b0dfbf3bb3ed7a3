<?php

namespace Ferry;

// Conditional: a script of opcache.preload that loads Composer's autoloader and then compiles all files would declare them twice.
if (!function_exists(__NAMESPACE__ . '\queue')) {
    /**
     * Pushes a job, as think-queue's helper `queue()` does. An object with a public `$connection`, `$queue` or `$delay` ({@see Queueable}) says with
     * them where and when, unless the arguments do.
     *
     * @param string|object $job as for {@see Queue::push()}
     * @param int|float|string|\DateTimeInterface|\DateInterval|null $delay as for {@see Queue::later()}; 0 and null: at once
     * @return string|int|null as {@see Queue::push()}
     */
    function queue(string|object $job, mixed $data = '', mixed $delay = 0, ?string $queue = null): string|int|null
    {
        Think\Extension::demand();
        $wish = fn (string $name) => is_object($job) && isset($job->$name) ? $job->$name : null;
        $connection = Queue::connection($wish('connection'));
        $delay = $delay ?: $wish('delay');
        $queue ??= $wish('queue');
        return $delay ? $connection->later($delay, $job, $data, $queue) : $connection->push($job, $data, $queue);
    }
}

if (!function_exists(__NAMESPACE__ . '\push_with')) {
    /**
     * Pushes a job through a PDO of your own: it exists when your transaction commits, and never when that rolls back. On PostgreSQL the
     * commit wakes waiting workers; elsewhere they find the job at their next query.
     *
     * The table is found as your PDO finds it, so it has to be connected to the database of the connection.
     *
     * @param string|object $job as for {@see Queue::push()}
     * @param mixed $data as for {@see Queue::push()}
     * @param int|float|string|\DateTimeInterface|\DateInterval|null $delay as for {@see Queue::later()}; null is ready at once
     * @param Connection|null $connection the default one without
     * @return string|int as {@see Queue::push()}: the row number, or with `track` the id. Its status begins when a worker starts the job
     * @throws \PDOException your database refused, whatever the error mode of your PDO is
     * @throws ConfigException the connection keeps no rows, or as for {@see Queue::push()}
     * @throws BrokerException or a subclass: the table could not be looked at
     */
    function push_with(\PDO $pdo, string|object $job, mixed $data = '', ?string $queue = null, mixed $delay = null, ?Connection $connection = null): string|int
    {
        ['table' => $table, 'values' => $values] = ($connection ?? Queue::connection())->row($job, $data, $queue, $delay);
        $driver = $pdo->getAttribute(\PDO::ATTR_DRIVER_NAME);
        $is_postgres = $driver === 'pgsql';
        $quote = $driver === 'mysql' ? '`' : '"';
        $sql = sprintf(
            "INSERT INTO $quote%s$quote (%s) VALUES (%s)%s",
            $table,
            implode(', ', array_keys($values)),
            implode(', ', array_fill(0, count($values), '?')),
            $is_postgres ? ' RETURNING id' : '',
        );
        $mode = $pdo->getAttribute(\PDO::ATTR_ERRMODE);
        $pdo->setAttribute(\PDO::ATTR_ERRMODE, \PDO::ERRMODE_EXCEPTION);
        try {
            $insert = $pdo->prepare($sql);
            $insert->execute(array_values($values));
            $row = (int) ($is_postgres ? $insert->fetchColumn() : $pdo->lastInsertId());
            if ($is_postgres) {
                // Names of PostgreSQL end after 63 bytes.
                $pdo->prepare('SELECT pg_notify(?, ?)')->execute([substr("ferry_$table", 0, 63), $values['queue']]);
            }
            // Only a tracked job has an id in its payload here.
            return json_decode($values['payload'], true)['id'] ?? $row;
        } finally {
            $pdo->setAttribute(\PDO::ATTR_ERRMODE, $mode);
        }
    }
}
