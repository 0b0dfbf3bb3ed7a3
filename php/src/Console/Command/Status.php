<?php

declare(strict_types=1);

namespace Ferry\Console\Command;

use Ferry\Console\Refusal;
use Ferry\Console\Text;
use Ferry\Status as State;
use Symfony\Component\Console\Helper\ProgressBar;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\ConsoleOutputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/** Shows what became of a job, once or until it is finished. */
final class Status extends Base
{
    protected function configure(): void
    {
        $this->setName('status')->setDescription('Show what became of a job, by its id')
            ->addArgument('id', InputArgument::REQUIRED, 'What push answered')
            ->addOption('follow', null, InputOption::VALUE_NONE, 'Stay until the job is finished, with a bar of its progress')
            ->addOption('interval', null, InputOption::VALUE_REQUIRED, 'Seconds between looks when following', 0.5)
            ->withJson()
            ->setHelp(<<<'TEXT'
                Jobs of a connection with <info>track</info> have a status, for <info>status_ttl</info> seconds after the last word about them.

                  <info>ferry status 9f86d081884c7d65 --follow</info>
                  <info>ferry status 9f86d081884c7d65 --json</info>

                Exit codes: 0 queued, running, retrying or succeeded; 3 failed or expired; 1 nothing is known or the broker did not answer; 2 wrong call.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        [$id, $interval] = [$input->getArgument('id'), $this->number($input, 'interval', 0.05)];
        $status = $this->connection($input)->status($id)
            ?? throw new Refusal(sprintf('nothing is known of the job %s: is `track` on for its connection, and is it younger than `status_ttl`?', Text::cell($id)));
        if ($input->getOption('follow')) {
            $this->follow($status, $output, $interval);
        }
        $input->getOption('json') ? $this->json($output, $status->toArray()) : $this->show($status, $output);
        return in_array($status->state, ['failed', 'expired'], true) ? 3 : self::SUCCESS;
    }

    private function follow(State $status, OutputInterface $output, float $interval): void
    {
        // The bar is for people: it does not mix with what is piped on.
        $bar = new ProgressBar($output instanceof ConsoleOutputInterface ? $output->getErrorOutput() : $output, 100);
        $bar->setFormat(' %state% [%bar%] %percent:3s%% %elapsed% %message%');
        $this->advance($bar, $status);
        $bar->start();
        while (!$status->isFinished()) {
            usleep((int) ($interval * 1e6));
            if (!$status->refresh()) {
                $bar->clear();
                throw new Refusal('nothing is known of the job any more: its `status_ttl` is over');
            }
            $this->advance($bar, $status);
        }
        $bar->display();
        $output instanceof ConsoleOutputInterface && $output->getErrorOutput()->writeln('');
    }

    private function advance(ProgressBar $bar, State $status): void
    {
        $bar->setMessage(sprintf('%-9s', $status->state), 'state');
        $bar->setMessage(Text::cell($status->message ?? '', 60));
        $bar->setProgress($status->progress);
    }

    private function show(State $status, OutputInterface $output): void
    {
        $moment = fn (?float $time) => $time === null ? '-' : Text::moment((int) $time);
        $facts = ['Id' => $status->id, 'State' => $status->state, 'Job' => $status->job, 'Queue' => "$status->queue on $status->connection",
            'Attempts' => (string) $status->attempts, 'Progress' => trim("$status->progress % $status->message"), 'Queued' => $moment($status->queuedAt),
            'Started' => $moment($status->startedAt), 'Finished' => $moment($status->finishedAt)];
        if ($status->result !== null) {
            $facts['Result'] = Text::json($status->result);
        }
        if ($status->error !== null) {
            $facts['Error'] = strtok($status->error, "\n");
        }
        foreach ($facts as $name => $value) {
            $output->writeln(sprintf('<info>%-9s</info> %s', $name, Text::cell((string) $value)));
        }
    }
}
