/** The few ASN.1 types of a certificate, in DER (ITU-T X.690). */
function tagged(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content;
  const lengthBytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) lengthBytes.unshift(rest % 256);
  const head = length < 128 ? [tag, length] : [tag, 0x80 | lengthBytes.length, ...lengthBytes];
  return Buffer.concat([Uint8Array.from(head), content]);
}

export function sequence(...items: readonly Uint8Array[]): Uint8Array {
  return tagged(0x30, Buffer.concat(items));
}

export function set(...items: readonly Uint8Array[]): Uint8Array {
  return tagged(0x31, Buffer.concat(items));
}

/** `[number]` around other items. */
export function explicit(number: number, item: Uint8Array): Uint8Array {
  return tagged(0xa0 | number, item);
}

/** `[number]` in place of a simple type's own tag. */
export function implicit(number: number, content: Uint8Array): Uint8Array {
  return tagged(0x80 | number, content);
}

/** A number of 0 or more, most significant byte first. */
export function integer(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const content = bytes.subarray(start);
  return tagged(0x02, (content[0] ?? 0) >= 0x80 ? Buffer.concat([Uint8Array.of(0), content]) : content);
}

export function booleanTrue(): Uint8Array {
  return tagged(0x01, Uint8Array.of(0xff));
}

export function octetString(content: Uint8Array): Uint8Array {
  return tagged(0x04, content);
}

export function bitString(content: Uint8Array): Uint8Array {
  return tagged(0x03, Buffer.concat([Uint8Array.of(0), content]));
}

export function utf8String(text: string): Uint8Array {
  return tagged(0x0c, Buffer.from(text));
}

/** @param dotted `2.5.29.17` */
export function objectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const base128 = (value: number): number[] => {
    const bytes = [value % 128];
    for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
      bytes.unshift(0x80 | (left % 128));
    return bytes;
  };
  return tagged(0x06, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** UTCTime up to 2049, GeneralizedTime after it (RFC 5280, 4.1.2.5); whole seconds. */
export function time(date: Date): Uint8Array {
  const text = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  const year = date.getUTCFullYear();
  return year >= 1950 && year < 2050 ? tagged(0x17, Buffer.from(text.slice(2))) : tagged(0x18, Buffer.from(text));
}
