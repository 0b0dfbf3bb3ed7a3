<?php

// One job a push, on PostgreSQL.

declare(strict_types=1);

require __DIR__ . '/../lib/postgres_row.php';
require __DIR__ . '/../lib/sql_push.php';
