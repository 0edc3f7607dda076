import { fakeWorld } from '../../support/session/fake-world.js';
import { sessionSuite } from '../../support/session/suite.js';

sessionSuite({
  name: 'fakes',
  engine: 'in-process',
  codecs: ['none'],
  world: () => fakeWorld({ bytes: 16 << 20 }),
});
