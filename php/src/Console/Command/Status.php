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
use Symfony\Component\Console\Output\OutputInterface;

/** Shows the status of a job, once or until it is finished. */
final class Status extends Base
{
    /** What stands before the message in a line of the progress bar. */
    private const BAR_WIDTH = 55;

    private int $messageWidth = 60;

    protected function configure(): void
    {
        $this->setName('status')->setDescription('Show the status of a job')
            ->addArgument('id', InputArgument::REQUIRED, 'The id that push returned')
            ->addOption('follow', null, InputOption::VALUE_NONE, 'Wait until the job is finished and show its progress')
            ->addOption('interval', null, InputOption::VALUE_REQUIRED, 'Seconds between two queries with --follow', 0.5)
            ->withJson()
            ->setHelp(<<<'TEXT'
                Jobs of a connection with <info>track</info> have a status. It is kept for <info>status_ttl</info> seconds after its last change.

                  <info>ferry status 9f86d081884c7d65 --follow</info>
                  <info>ferry status 9f86d081884c7d65 --json</info>

                Exit codes: 0 queued, running, retrying or succeeded; 3 failed or expired; 1 no status of this job, or the broker did not answer; 2 wrong usage.
                TEXT);
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        [$id, $interval] = [$input->getArgument('id'), $this->number($input, 'interval', 0.05)];
        $status = $this->connection($input)->status($id)
            ?? throw new Refusal("there is no status of the job $id: is `track` on for its connection, and did it change within `status_ttl`?");
        if ($input->getOption('follow')) {
            $this->follow($status, $output, $interval);
        }
        $input->getOption('json') ? $this->json($output, $status->toArray()) : $this->show($status, $output);
        return in_array($status->state, ['failed', 'expired'], true) ? 3 : self::SUCCESS;
    }

    private function follow(State $status, OutputInterface $output, float $interval): void
    {
        // On standard error, so that it does not mix with piped output.
        $bar = new ProgressBar(self::errors($output), 100);
        $this->messageWidth = max(10, min(60, (self::width(self::errors($output)) ?? 120) - self::BAR_WIDTH));
        $bar->setFormat(' %state% [%bar%] %percent:3s%% %elapsed% %message%');
        $this->advance($bar, $status);
        $bar->start();
        while (!$status->isFinished()) {
            usleep((int) ($interval * 1e6));
            if (!$status->refresh()) {
                $bar->clear();
                throw new Refusal('the status of the job has expired (`status_ttl`)');
            }
            $this->advance($bar, $status);
        }
        $bar->display();
        self::errors($output)->writeln('');
    }

    private function advance(ProgressBar $bar, State $status): void
    {
        $bar->setMessage(sprintf('%-9s', Text::cell($status->state)), 'state');
        $bar->setMessage(Text::cell($status->message ?? '', $this->messageWidth));
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
            $facts['Error'] = Text::firstLine($status->error);
        }
        foreach ($facts as $name => $value) {
            $output->writeln(sprintf('<info>%-9s</info> %s', $name, Text::cell((string) $value)));
        }
    }
}
