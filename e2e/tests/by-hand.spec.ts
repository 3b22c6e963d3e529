import { Lab } from './lab.js';
import { expect, test } from './playground.js';

test('a container is built by hand, by clicking and by typing what the reader is asked to find out', async ({ playground }) => {
  const hand = await Lab.start(playground, 'Containers by hand');
  const [inside, outside] = ['node1 · 1', 'node1 · 2'];
  await hand.next();

  await hand.isAt('A root directory of its own');
  await hand.run('mkdir -p /root/box/bin /root/box/proc /root/box/etc');
  await hand.run('for name in /root/box/bin/*; do [ -L "$name" ] && ln -sf busybox "$name"; done');
  await hand.run('chroot /root/box /bin/sh');
  await hand.run('cd .. && pwd');
  await playground.run(inside, 'mount -t proc proc /proc', /#$/);
  await hand.holds('The box has a shell that starts');
  await hand.holds('The box has a /proc');
  await hand.choose('Which of these did', 'Only the files');
  await hand.run('exit');
  await playground.run(inside, 'mount | grep -c " /root/box"', /^0$/m);
  await hand.next();

  await hand.isAt('Namespaces: a view of its own');
  await hand.run('unshare --pid --fork --mount --uts --net --ipc chroot /root/box /bin/sh');
  await hand.run('mount -t proc proc /proc');
  await hand.run('hostname box');
  await hand.click('lsns -o NS,TYPE,NPROCS,PID,COMMAND');
  await playground.shows(outside, 'unshare --pid');
  await hand.holds('A process lives in the box, with its own process table');
  await hand.holds('Its host name is box, and node1 kept its own');
  await hand.answer('Which process id has the shell', '1');
  await playground.picture('lab-namespaces');
  await hand.next();

  await hand.isAt('Control groups: a share of its own');
  await hand.run('if [ -d /sys/fs/cgroup/pids ]; then PIDS=/sys/fs/cgroup/pids; else PIDS=/sys/fs/cgroup; fi; echo $PIDS', outside);
  await hand.run('mkdir -p $PIDS/box', outside);
  await hand.run(/^Run BOX=/, outside);
  await hand.run('echo $BOX > $PIDS/box/cgroup.procs', outside);
  await hand.run('for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done');
  await playground.shows(inside, "can't fork");
  await hand.holds('The box lives in a group with at most 10 processes');
  await playground.tab(outside).click();
  await playground.type(
    outside,
    'if [ -d /sys/fs/cgroup/memory ]; then M=/sys/fs/cgroup/memory/box; mkdir -p $M; echo 32M > $M/memory.limit_in_bytes; echo $BOX > $M/cgroup.procs; else echo 32M > $PIDS/box/memory.max; fi',
  );
  await hand.holds('The box may use 32 MiB of memory');
  await hand.choose('What happens when a group goes past its limit', 'The kernel kills a process of that group.');
  await hand.run('exit');
  await hand.next();

  await hand.isAt('Overlay: layers of files');
  await hand.run('mkdir -p /root/layers && mount -t tmpfs tmpfs /root/layers');
  await hand.run(/^Run mount -t overlay/);
  await hand.holds('The overlay is mounted');
  await hand.run('echo "welcome" > /root/layers/merged/etc/motd');
  await hand.holds('The change is in the upper layer, the lower one is untouched');
  await hand.choose('Ten containers of one image have', /^One copy/);
  await hand.next();

  await hand.isAt('A docker run of your own');
  await hand.step.getByRole('button', { name: 'Write /root/boxrun on node1' }).click();
  await hand.run(/^Run \/root\/boxrun sh -c/);
  await hand.holds('boxrun runs a command as process 1 of a box');
  await hand.run('docker run -d --name real --memory 32m alpine sleep 600');
  await hand.run(/^Run PID=/);
  await playground.type(inside, 'nsenter --target $PID --net ip -4 address > /root/address');
  await hand.holds('/root/address has the address of the container real');
  await expect(hand.pane.getByText('Lab completed')).toBeVisible();
  await playground.picture('lab-by-hand-completed');
});
