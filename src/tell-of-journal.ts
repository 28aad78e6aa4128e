import type { Logger } from './observability/logger.ts';
import type { JournalNews } from './store/memory/journal/journal.ts';

/** Says in the log what became of the journal of an embedded store. */
export function tellOfJournal(news: JournalNews, logger: Logger): void {
  const { type, ...facts } = news;
  switch (news.type) {
    case 'read':
      return logger.info(facts, 'Journal read back');
    case 'cut':
      return logger.warn(facts, 'The end of the journal was not whole and was cut off');
    case 'failed':
      return logger.error({ reason: news.message, next: 'it is tried again' }, 'The journal cannot be written');
    case 'mended':
      return logger.info('The journal can be written again');
    case 'compacted':
      return logger.info(facts, 'Journal compacted');
    case 'compaction.failed':
      return logger.error(facts, 'The journal could not be compacted: it grows until that works');
  }
}
