import { Lab } from './lab.js';
import { expect, test } from './playground.js';

test('a lab is followed to its end by clicking', async ({ playground, context }) => {
  const { page } = playground;
  const lab = await Lab.start(playground, 'First containers');
  await lab.isAt('Introduction');
  await lab.next();

  await lab.isAt('Hello from a container');
  await expect(lab.step.getByText('docker ps -a shows no hello-world container yet')).toBeVisible();
  await playground.picture('lab-begin');
  await lab.run('docker run hello-world');
  await lab.run('docker ps -a');
  await lab.holds('hello-world has run and ended well');
  await lab.choose('difference between an image and a container', 'two words for the same thing');
  await expect(lab.quiz('difference between an image')).toContainText('Not quite. Try again.');
  await lab.choose('difference between an image and a container', 'An image is a read-only template');
  await expect(lab.quiz('difference between an image')).toContainText('Right');
  await lab.next();

  await lab.isAt('A shell inside');
  await lab.run('docker run -it --name shell alpine sh');
  await lab.run('cat /etc/os-release');
  await lab.run('echo "I was here" > /root/note');
  await lab.holds('The container shell is running and has your note');
  await lab.answer('Which process id', '1');
  await lab.next();

  await lab.isAt('Stopped is not gone');
  await lab.run('exit');
  await lab.run('docker start shell');
  await lab.run('docker exec shell cat /root/note');
  await playground.shows('node1 · 1', 'I was here');
  await lab.holds('shell was stopped and is running again');

  // What is reached is kept: the page comes back at the first step that is not done.
  await page.reload();
  await lab.isAt('A web server in the background');
  await lab.run('docker run -d --name web -p 8080:80 nginx');
  const link = lab.step.getByRole('link', { name: 'Open port 8080 of node1' });
  await lab.holds('A web server answers on port 8080');
  const [opened] = await Promise.all([context.waitForEvent('page'), link.click()]);
  await expect(opened.getByRole('heading', { name: /nginx/i })).toBeVisible();
  await opened.close();
  await lab.choose('which of the two does nginx itself listen on', /^80$/);
  await lab.next();

  await lab.isAt('Logs, and a command inside');
  await lab.click('docker logs -f web');
  await playground.shows('node1 · 2', 'GET /');
  await lab.run('curl -s -o /dev/null localhost:8080/no-such-page');
  await lab.holds('A request for a missing page is in the log');
  await playground.picture('lab-middle');
  await lab.run('Ctrl-C', 'node1 · 2');
  await lab.step.getByText('Hint', { exact: true }).click();
  await expect(lab.step.getByText('The redirection stands inside the quotation marks')).toBeVisible();
  await playground.tab('node1 · 1').click();
  await playground.type('node1 · 1', `docker exec web sh -c 'echo ahoy > /usr/share/nginx/html/index.html'`);
  await lab.holds('The page says ahoy');
  await lab.next();

  await lab.isAt('Data that outlives the container');
  await lab.run('docker volume create pages');
  await lab.run('docker rm -f web', 'node1 · 1', 0);
  await lab.run('docker run -d --name web -p 8080:80 -v pages:/usr/share/nginx/html nginx');
  await lab.run(`docker run --rm -v pages:/pages alpine sh -c 'echo "kept in a volume" > /pages/index.html'`);
  await lab.run('curl -s localhost:8080');
  await playground.shows('node1 · 1', /^kept in a volume$/m);
  await lab.run('docker rm -f web', 'node1 · 1', 1);
  await lab.holds('A second server sends the page of the first');
  await lab.answer('Where does the engine keep the volume?', '/var/lib/docker/volumes/pages/_data');
  await lab.next();

  await lab.isAt('Clean up');
  await playground.type('node1 · 1', 'docker rm -f $(docker ps -aq) && docker volume rm pages');
  await lab.holds('No container is left');
  await lab.holds('The volume is gone');
  await lab.choose('What is left on the machine', /The image/, /A named volume/);
  await expect(lab.pane.getByText('Lab completed')).toBeVisible();
  await playground.picture('lab-completed');
});
