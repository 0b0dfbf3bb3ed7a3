<?php

namespace App;

use PDO;

/** The table of users. */
final class Users
{
    private PDO $table;

    public function __construct(string $file)
    {
        $this->table = new PDO("sqlite:$file", options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 30]);
        $this->table->exec('CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT, hash TEXT)');
    }

    public function add(string $email, string $name, string $password): User
    {
        $hash = password_hash($password, PASSWORD_DEFAULT);
        $this->table->prepare('INSERT INTO users (email, name, hash) VALUES (?, ?, ?)')->execute([$email, $name, $hash]);
        return $this->get((int) $this->table->lastInsertId());
    }

    public function get(int $id): User
    {
        $row = $this->table->prepare('SELECT id, email, name, hash FROM users WHERE id = ?');
        $row->execute([$id]);
        return new User(...$row->fetch(PDO::FETCH_NUM) ?: throw new \RuntimeException("there is no user $id"));
    }

    public function change(int $id, string $column, string $value): void
    {
        $sql = ['email' => 'UPDATE users SET email = ? WHERE id = ?', 'name' => 'UPDATE users SET name = ? WHERE id = ?'][$column];
        $this->table->prepare($sql)->execute([$value, $id]);
    }

    /**
     * Adds those that are not there yet: a task may run twice, and its second run must change nothing.
     *
     * @param list<array{string, string}> $rows email and name
     */
    public function import(array $rows): void
    {
        $this->table->exec('BEGIN IMMEDIATE');
        $insert = $this->table->prepare("INSERT OR IGNORE INTO users (email, name, hash) VALUES (?, ?, '')");
        foreach ($rows as $row) {
            $insert->execute($row);
        }
        $this->table->exec('COMMIT');
    }

    /** @return array<string, int> domain => users */
    public function byDomain(): array
    {
        $sql = "SELECT substr(email, instr(email, '@') + 1) AS domain, count(*) FROM users GROUP BY domain ORDER BY domain";
        return $this->table->query($sql)->fetchAll(PDO::FETCH_KEY_PAIR);
    }

    public function count(): int
    {
        return (int) $this->table->query('SELECT count(*) FROM users')->fetchColumn();
    }
}
