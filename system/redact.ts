const NAMES = String.raw`[\w.-]{0,64}(?:token|passw(?:or)?d|passphrase|rootpwd|secret|authorization|api[_-]?key|private[_-]?key)[\w-]{0,64}`;

/**
 * What secrets look like wherever they stand: on a kernel command line, in the output of a program, in a URL, in JSON. `$1` is
 * kept, the rest goes. All lengths have bounds, so that a long log takes time in proportion to its length.
 */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  // A private key, before anything takes a part of it for something else.
  [/(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g, '$1 ***'],
  // user:password@ of a URL; its query, which may be a signature, goes before that.
  [/(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#"'<>]{1,1024}@/gi, '$1***@'],
  // Hashes of passwords (crypt(5)).
  [/\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|md5)\$[./A-Za-z0-9$=,+-]{8,}/g, '***'],
  // NAME=VALUE and "NAME": "VALUE", where the name says that it is a secret, and headers of HTTP.
  [new RegExp(String.raw`(\b${NAMES}=)(?:"[^"]*"?|'[^']*'?|[^\s"'&,;]+)`, 'gi'), '$1***'],
  [new RegExp(String.raw`("${NAMES}"\s*:\s*)"(?:[^"\\]|\\.)*"?`, 'gi'), '$1"***"'],
  [/(\b(?:proxy-authorization|authorization|x-auth-token)\s*:\s*)[^\r\n]+/gi, '$1***'],
];

/** A whole URL, of which the query goes: matched at once, so that no part of it is looked at twice. */
const URLS = /\bhttps?:\/\/[^\s"'<>]+/gi;
const withoutQuery = (url: string): string => (url.includes('?') ? `${url.slice(0, url.indexOf('?'))}?***` : url);

/** The text without what looks like a secret. What is known to be one by its value is for the caller to take out. */
export function redact(text: string): string {
  return SECRETS.reduce((kept, [pattern, instead]) => kept.replace(pattern, instead), text.replace(URLS, withoutQuery));
}
