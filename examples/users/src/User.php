<?php

namespace App;

/** A user. The hash of the password is private: it goes nowhere. */
final class User
{
    public function __construct(
        public readonly int $id,
        public readonly string $email,
        public readonly string $name,
        private readonly string $passwordHash = '',
    ) {
    }

    public function accepts(string $password): bool
    {
        return password_verify($password, $this->passwordHash);
    }
}
