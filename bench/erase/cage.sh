# bash cage.sh COMMAND: runs a command of bash in a mount namespace (unshare --mount) whose /dev has no block devices but $DEVICES. A
# program that would erase "all disks" finds nothing else. With $NWIPE, a tree of Debian's packages, also makes a root at $CAGE/root for it:
# nwipe asks sh, which and hdparm of its system, and writes to /etc.
set -e
mkdir -p "$CAGE/dev" "$CAGE/root"
mount -t tmpfs -o mode=755,nosuid tmpfs "$CAGE/dev"
for name in null zero full random urandom; do
  : >"$CAGE/dev/$name"
  mount --bind "/dev/$name" "$CAGE/dev/$name"
done
ln -s /proc/self/fd "$CAGE/dev/fd"
# The pattern's file is there.
mkdir "$CAGE/dev/shm"
[ ! -d /dev/shm ] || mount --bind /dev/shm "$CAGE/dev/shm"
for device in $DEVICES; do
  case $device in
    /dev/loop[0-9]*) ;;
    *) echo "cannot let anybody have $device: it is no loop device" >&2; exit 1 ;;
  esac
  : >"$CAGE$device"
  mount --bind "$device" "$CAGE$device"
done
if [ -n "$NWIPE" ]; then
  mount -t tmpfs tmpfs "$CAGE/root"
  cp -a "$NWIPE"/bin "$NWIPE"/sbin "$NWIPE"/lib* "$CAGE/root"
  mkdir "$CAGE/root/"{usr,dev,proc,sys,etc,tmp,opt}
  mount --bind -o ro "$NWIPE/usr" "$CAGE/root/usr"
  mount --rbind /proc "$CAGE/root/proc"
  mount --rbind /sys "$CAGE/root/sys"
  mount --rbind "$CAGE/dev" "$CAGE/root/dev"
  # A script of the package makes this link, and scripts of packages are not run.
  ln -s /usr/bin/which.debianutils "$CAGE/root/opt/which"
fi
mount --move "$CAGE/dev" /dev
exec bash -c "set -o pipefail; $1"
